"""Where the broker of a mapping is, and with which name and password: for RabbitMQ as Amazon MQ's source.

HEARTH_MQ_BROKERS maps brokers' ARNs to AMQP URLs; without an entry the service `mq` is asked (DescribeBroker), if
somebody serves it. The user comes from the mapping's BASIC_AUTH secret, else from the URL. `own` is the platform's
RabbitMQ, for whoever sets it so: mappings may name any of its virtual hosts but the one that the platform uses itself.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import orjson

from hearth.aws_clients import AwsClients
from hearth.clock import Deadline
from hearth.errors import HearthError
from hearth.model.mapping import EventSourceMapping
from hearth.settings import OWN_BROKER, Settings

_CALL_S = 5.0


class BrokerNotFound(HearthError):
    """The mapping's broker, or the way into it, is not known. Nothing was read."""

    code, status = "InvalidParameterValueException", 400


class MqEndpoints:
    def __init__(self, settings: Settings, aws: AwsClients) -> None:
        self._brokers = settings.amqp_brokers
        self._own = (settings.broker_url or "").split(",")[0]
        self._all_own = settings.broker_url or ""
        self._aws = aws

    async def url_of(self, mapping: EventSourceMapping) -> str:
        """AMQP URL, with user and virtual host; of a cluster several with commas between. Raises HearthError."""
        known = self._brokers.get(mapping.source_arn) or self._brokers.get("*")
        user = await self._user(mapping)
        if known == OWN_BROKER:
            return self._own_url(mapping)
        if known is None:
            known = await self._described(mapping)
        return with_access(known, user, mapping.virtual_host)

    def _own_url(self, mapping: EventSourceMapping) -> str:
        """As the platform's own user."""
        if mapping.virtual_host == virtual_host_of(self._own):
            raise BrokerNotFound(f"the virtual host {mapping.virtual_host} is the platform's own; use another")
        return ",".join(with_access(url, None, mapping.virtual_host) for url in self._all_own.split(","))

    async def _user(self, mapping: EventSourceMapping) -> tuple[str, str] | None:
        """(name, password) of the BASIC_AUTH secret; None: there is none."""
        arn = next((uri for kind, uri in mapping.access if kind == "BASIC_AUTH"), "")
        if not arn:
            return None
        region = arn.split(":")[3] if arn.count(":") >= 6 else mapping.region
        answer = await self._call("secretsmanager", "GetSecretValue", mapping, region, SecretId=arn)
        try:
            secret = orjson.loads(answer.get("SecretString") or answer.get("SecretBinary") or b"")
            return str(secret["username"]), str(secret["password"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
            raise BrokerNotFound(f"{arn} is no JSON object with username and password") from exc

    async def _described(self, mapping: EventSourceMapping) -> str:
        """What Amazon MQ says of the broker. Raises HearthError."""
        if self._aws.endpoints.of("mq", mapping.source_region) is None:
            raise BrokerNotFound(
                f"Nobody knows where {mapping.source_arn} is: HEARTH_MQ_BROKERS={mapping.source_arn}=amqp://HOST:5672"
            )
        broker = mapping.source_arn.rsplit(":", 1)[1]
        answer = await self._call("mq", "DescribeBroker", mapping, mapping.source_region, BrokerId=broker)
        for instance in answer.get("BrokerInstances", ()):
            for endpoint in instance.get("Endpoints", ()):
                if endpoint.startswith(("amqp://", "amqps://")):
                    return str(endpoint)
        raise BrokerNotFound(f"{mapping.source_arn} has no AMQP endpoint")

    async def _call(
        self, service: str, operation: str, mapping: EventSourceMapping, region: str, **given: Any
    ) -> dict[str, Any]:
        deadline = Deadline.after(_CALL_S)
        return await self._aws.call(
            service, operation, account=mapping.account, region=region, deadline=deadline, **given
        )


def with_access(url: str, user: tuple[str, str] | None, vhost: str) -> str:
    """The URL with that user, if there is one, and that virtual host."""
    parts = urlsplit(url)
    place = parts.netloc.rsplit("@", 1)[-1]
    named = parts.netloc.rpartition("@")[0]
    if user is not None:
        named = f"{quote(user[0], safe='')}:{quote(user[1], safe='')}"
    netloc = f"{named}@{place}" if named else place
    return urlunsplit((parts.scheme, netloc, "/" + quote(vhost, safe=""), parts.query, ""))


def virtual_host_of(url: str) -> str:
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"
