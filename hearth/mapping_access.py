"""Whether a function's execution role lets the function have the records of an event source mapping. Pure.

Source: Lambda Developer Guide, execution role permissions of each source; texts as AWS words them.
"""

from __future__ import annotations

from collections.abc import Iterable

from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.policies import Access, Document, Principal, Verdict, authorised

_STREAM = ("GetRecords", "GetShardIterator", "DescribeStream", "ListShards")
_ACTIONS: dict[SourceKind, tuple[str, ...]] = {
    SourceKind.KINESIS: tuple(f"kinesis:{name}" for name in _STREAM),
    SourceKind.KINESIS_CONSUMER: ("kinesis:SubscribeToShard",),
    SourceKind.DYNAMODB: tuple(f"dynamodb:{name}" for name in _STREAM if name != "ListShards"),
    SourceKind.SQS: ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    SourceKind.RABBITMQ: ("mq:DescribeBroker",),
}


def role_of(arn: str) -> tuple[str, str]:
    """(account, name) of a role's ARN, whatever its path."""
    account, _, name = arn.removeprefix("arn:aws:iam::").partition(":role/")
    return account, name.rpartition("/")[2]


def refusal(
    mapping: EventSourceMapping,
    role: str,
    documents: Iterable[Document],
    *,
    source_policy: Document | None,
    same_account: bool,
) -> str:
    """In AWS's words why the function may not have the source's records; empty: it may.

    role: ARN of the function's. documents: what is said of the role. source_policy: whom the source itself lets in.
    same_account: the role's word is enough.
    """
    account, name = role_of(role)
    principal = Principal(account=account, arn=f"arn:aws:sts::{account}:assumed-role/{name}/{mapping.function}")
    documents = tuple(documents)
    for action in _ACTIONS[mapping.kind]:
        verdict = authorised(
            Access(action, mapping.source_arn, principal),
            identity=documents,
            resource=source_policy,
            same_account=same_account,
        )
        if verdict is not Verdict.ALLOWED:
            return _text(mapping, action.partition(":")[2])
    return ""


def _text(mapping: EventSourceMapping, action: str) -> str:
    if mapping.kind.is_stream:
        listing = "" if mapping.kind is SourceKind.DYNAMODB else "ListShards, "
        return (
            f"Cannot access stream {mapping.source_arn}. Please ensure the role can perform the GetRecords, "
            f"GetShardIterator, DescribeStream, {listing}and ListStreams Actions on your stream in IAM."
        )
    service = "SQS" if mapping.kind is SourceKind.SQS else "MQ"
    return f"The function execution role does not have permissions to call {action} on {service}"
