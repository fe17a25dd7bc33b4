"""Whether a mapping's function may still read its source: its role can be told otherwise at any time.

What the gateway has judged when the mapping was made (`gateway/lambda_api/mapping_access.py`) is judged anew as a unit
begins, but for the word of another account's source; and while it runs, when roles or functions have changed.
"""

from __future__ import annotations

from typing import Any

import orjson

from hearth.aws_clients import AwsClients
from hearth.clock import Deadline
from hearth.errors import AccessDenied
from hearth.mapping_access import refusal, role_of
from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.policies import Document
from hearth.settings import Settings
from hearth.store import Stores
from hearth.store.functions import FunctionTable
from hearth.store.identities import IdentityTable
from hearth.store.streams import StreamTable

_ASK_S = 10.0
#: above every weight: the version that an alias points to
_NO_DRAW = 1.0


class SourceAccess:
    """One per poller."""

    def __init__(self, settings: Settings, stores: Stores, aws: AwsClients) -> None:
        self._permissive = settings.permissive
        self._aws = aws
        self._functions = FunctionTable(stores.state)
        self._identities = IdentityTable(stores.state)
        self._streams = StreamTable(stores.state)

    async def epoch(self) -> tuple[int, int]:
        """While it is the same no role and no function has changed. Raises Unavailable."""
        return await self._identities.epoch(), await self._functions.epoch()

    async def check(self, mapping: EventSourceMapping) -> None:
        """Raises AccessDenied, Unavailable; AwsCallFailed and its like if a queue's policy can't be read."""
        found = await self._functions.resolve(
            mapping.account, mapping.region, mapping.function, mapping.qualifier or None, _NO_DRAW
        )
        if found is None:  # whoever invokes it says so
            return
        arn = found[1].version.role
        role = await self._identities.role(*role_of(arn))
        if role is None and self._permissive:
            return
        documents = role.documents if role else ()
        if not refusal(mapping, arn, documents, source_policy=None, same_account=True):
            return
        policy = await self._policy(mapping) if mapping.source_account == role_of(arn)[0] else None
        if told := refusal(mapping, arn, documents, source_policy=policy, same_account=True):
            raise AccessDenied(told)

    async def _policy(self, mapping: EventSourceMapping) -> Document | None:
        """Whom the source itself lets in."""
        account, region, name = mapping.source_account, mapping.source_region, mapping.source_name
        if mapping.kind in (SourceKind.KINESIS, SourceKind.KINESIS_CONSUMER):
            read = await self._streams.get(account, region, name)
            return _parsed(read.stream.policy if read else None)
        if mapping.kind is not SourceKind.SQS:
            return None
        where: dict[str, Any] = {"account": account, "region": region, "deadline": Deadline.after(_ASK_S)}
        url = (await self._aws.call("sqs", "GetQueueUrl", QueueName=name, **where))["QueueUrl"]
        asked = await self._aws.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"], **where)
        return _parsed(asked.get("Attributes", {}).get("Policy"))


def _parsed(text: str | None) -> Document | None:
    """Another server's text may be anything."""
    try:
        document = orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
