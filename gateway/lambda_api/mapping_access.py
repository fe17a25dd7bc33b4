"""Whether a function's execution role, and a source of another account, let the function have the source's records.

Judged when the mapping is made and when it gets another function, as on AWS.
Source: Lambda Developer Guide, execution role permissions of each source; texts as AWS words them.
"""

from __future__ import annotations

from gateway.call import Call
from gateway.lambda_api.mapping_sources import Source
from hearth.errors import InvalidParameterValue
from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.policies import ALLOW_ALL, Access, Document, Principal, Verdict, authorised
from hearth.store.identities import IdentityTable

_STREAM = ("GetRecords", "GetShardIterator", "DescribeStream", "ListShards")
_ACTIONS: dict[SourceKind, tuple[str, ...]] = {
    SourceKind.KINESIS: tuple(f"kinesis:{name}" for name in _STREAM),
    SourceKind.KINESIS_CONSUMER: ("kinesis:SubscribeToShard",),
    SourceKind.DYNAMODB: tuple(f"dynamodb:{name}" for name in _STREAM if name != "ListShards"),
    SourceKind.SQS: ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    SourceKind.RABBITMQ: ("mq:DescribeBroker",),
}


async def check_access(call: Call, mapping: EventSourceMapping, role: str, source: Source) -> None:
    """role: ARN of the function's. Raises InvalidParameterValue, Unavailable."""
    account, _, name = role.removeprefix("arn:aws:iam::").partition(":role/")
    name = name.rpartition("/")[2]
    principal = Principal(account=account, arn=f"arn:aws:sts::{account}:assumed-role/{name}/{mapping.function}")
    documents = await _documents(call, account, name)
    for action in _ACTIONS[mapping.kind]:
        verdict = authorised(
            Access(action, mapping.source_arn, principal),
            identity=documents,
            resource=source.policy,
            same_account=source.judged_elsewhere or mapping.source_account == account,
        )
        if verdict is not Verdict.ALLOWED:
            raise InvalidParameterValue(_refusal(mapping, action.partition(":")[2]))


async def _documents(call: Call, account: str, name: str) -> tuple[Document, ...]:
    """As they are now: what is kept at hand may be a moment old."""
    role = await IdentityTable(call.backends.stores.state).role(account, name)
    if role is not None:
        return role.documents
    return (ALLOW_ALL,) if call.backends.settings.permissive else ()


def _refusal(mapping: EventSourceMapping, action: str) -> str:
    if mapping.kind.is_stream:
        listing = "" if mapping.kind is SourceKind.DYNAMODB else "ListShards, "
        return (
            f"Cannot access stream {mapping.source_arn}. Please ensure the role can perform the GetRecords, "
            f"GetShardIterator, DescribeStream, {listing}and ListStreams Actions on your stream in IAM."
        )
    service = "SQS" if mapping.kind is SourceKind.SQS else "MQ"
    return f"The function execution role does not have permissions to call {action} on {service}"
