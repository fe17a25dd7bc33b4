"""Whether a mapping's function may still read its source: its role can be told otherwise at any time.

What the gateway has judged when the mapping was made (`gateway/lambda_api/mapping_access.py`) is judged anew as a unit
begins; and while it runs, when roles or functions have changed, and every few seconds where the source's own policy
decides, of whose changes nobody tells.
"""

from __future__ import annotations

from typing import Any

import orjson

from hearth.aws_clients import AwsClients
from hearth.clock import Deadline
from hearth.errors import AccessDenied
from hearth.mapping_access import refusal, role_of
from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.policies import ALLOW_ALL, Document
from hearth.settings import Settings
from hearth.store import Stores
from hearth.store.functions import FunctionTable
from hearth.store.identities import IdentityTable
from hearth.store.streams import StreamTable

_ASK_S = 10.0
#: above every weight: the version that an alias points to
_NO_DRAW = 1.0
#: how often a source's policy is read again where it decides: a stream's out of our own state, a queue's by two calls
_STREAM_AGAIN_S = 2.0
_QUEUE_AGAIN_S = 10.0


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

    async def check(self, mapping: EventSourceMapping) -> float | None:
        """In how many seconds to ask again, because the source's own policy decides; None: the role alone does.

        Raises AccessDenied, Unavailable; AwsCallFailed and its like if a queue's policy can't be read.
        """
        found = await self._functions.resolve(
            mapping.account, mapping.region, mapping.function, mapping.qualifier or None, _NO_DRAW
        )
        if found is None:  # whoever invokes it says so
            return None
        arn = found[1].version.role
        account, name = role_of(arn)
        role = await self._identities.role(account, name)
        documents = role.documents if role else (ALLOW_ALL,) if self._permissive else ()
        told = refusal(mapping, arn, documents, source_policy=None, same_account=True)
        same_account = mapping.source_account == account
        if same_account and not told:
            return None
        policy, again_s = await self._policy(mapping)
        if again_s is not None:
            told = refusal(mapping, arn, documents, source_policy=policy, same_account=same_account)
        if told:
            raise AccessDenied(told)
        return again_s

    async def _policy(self, mapping: EventSourceMapping) -> tuple[Document | None, float | None]:
        """Whom the source itself lets in, and when to ask again; (None, None): its server judges that itself."""
        account, region, name = mapping.source_account, mapping.source_region, mapping.source_name
        if mapping.kind in (SourceKind.KINESIS, SourceKind.KINESIS_CONSUMER):
            read = await self._streams.get(account, region, name)
            return (_parsed(read.stream.policy), _STREAM_AGAIN_S) if read else (None, None)
        if mapping.kind is not SourceKind.SQS:
            return None, None
        where: dict[str, Any] = {"account": account, "region": region, "deadline": Deadline.after(_ASK_S)}
        url = (await self._aws.call("sqs", "GetQueueUrl", QueueName=name, **where))["QueueUrl"]
        asked = await self._aws.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"], **where)
        return _parsed(asked.get("Attributes", {}).get("Policy")), _QUEUE_AGAIN_S


def _parsed(text: str | None) -> Document | None:
    """Another server's text may be anything."""
    try:
        document = orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
