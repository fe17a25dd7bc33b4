"""Whether the source of an event source mapping is there, with whoever serves it, and fits the function.

A stream is looked for here first, then at the endpoint that the settings name for its service.
Texts as recorded from AWS.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import orjson

from gateway.call import Call
from hearth.aws_clients import AwsCallFailed, AwsUnreachable, ServiceNotServed
from hearth.clock import Deadline
from hearth.errors import InvalidParameterValue, ServiceError
from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.policies import Document
from hearth.store.changes import ChangeLogs

_ASK_S = 10.0
_NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


@dataclass(frozen=True, slots=True)
class Source:
    """policy: whom the source itself lets in; None: it says nothing. judged_elsewhere: its server decides that."""

    policy: Document | None = None
    judged_elsewhere: bool = False


async def find_source(call: Call, mapping: EventSourceMapping, *, timeout_s: int) -> Source:
    """timeout_s: the function's. Raises InvalidParameterValue, ServiceError (nobody answers)."""
    if mapping.kind is SourceKind.SQS:
        return await _queue(call, mapping, timeout_s)
    if mapping.kind is SourceKind.RABBITMQ:
        return Source(judged_elsewhere=True)
    source = await _stream(call, mapping)
    if source is None:
        raise InvalidParameterValue(f"Stream not found: {mapping.source_arn}")
    return source


async def _stream(call: Call, mapping: EventSourceMapping) -> Source | None:
    backends = call.backends
    if mapping.kind is SourceKind.DYNAMODB:
        if await ChangeLogs(backends.stores.state).stream(mapping.source_arn) is not None:
            return Source()
        service = "dynamodbstreams"
    else:
        read = await backends.streams.get(mapping.source_account, mapping.source_region, mapping.source_name)
        if read is not None:
            known = {read.stream.consumer_arn(consumer) for consumer in read.stream.consumers.values()}
            if mapping.source_arn not in {read.stream.arn, *known}:
                return None
            return Source(policy=orjson.loads(read.stream.policy) if read.stream.policy else None)
        service = "kinesis"
    return Source(judged_elsewhere=True) if await _elsewhere(call, mapping, service) else None


async def _elsewhere(call: Call, mapping: EventSourceMapping, service: str) -> bool:
    """Whether another server has the stream. One that does not answer may have it: its poller tells."""
    aws = call.backends.aws
    if aws.endpoints.elsewhere(service, mapping.source_region) is None:
        return False
    if mapping.kind is SourceKind.DYNAMODB:
        operation, named = "DescribeStream", {"StreamArn": mapping.source_arn}
    else:
        operation, named = "DescribeStreamSummary", {"StreamName": mapping.source_name}
    try:
        await aws.call_elsewhere(
            service,
            operation,
            account=mapping.source_account,
            region=mapping.source_region,
            deadline=Deadline.after(_ASK_S),
            **named,
        )
    except AwsCallFailed as exc:
        return exc.code != "ResourceNotFoundException"
    except AwsUnreachable:
        return True
    return True


async def _queue(call: Call, mapping: EventSourceMapping, timeout_s: int) -> Source:
    ask = functools.partial(
        call.backends.aws.call,
        "sqs",
        account=mapping.source_account,
        region=mapping.source_region,
        deadline=Deadline.after(_ASK_S),
    )
    try:
        url = (await ask("GetQueueUrl", QueueName=mapping.source_name))["QueueUrl"]
        attributes = await ask("GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout", "Policy"])
    except AwsCallFailed as exc:
        missing = exc.code in (_NO_QUEUE, "QueueDoesNotExist")
        code, message = (_NO_QUEUE, "The specified queue does not exist.") if missing else (exc.code, exc.message)
        raise InvalidParameterValue(
            f"Error occurred while ReceiveMessage. SQS Error Code: {code}. SQS Error Message: {message}"
        ) from exc
    except ServiceNotServed as exc:
        raise InvalidParameterValue(exc.message) from exc
    except AwsUnreachable as exc:
        raise ServiceError(f"SQS does not answer: {exc.message}") from exc
    found = attributes.get("Attributes", {})
    visible_s = int(found.get("VisibilityTimeout", timeout_s))
    if visible_s < timeout_s:
        raise InvalidParameterValue(
            f"Queue visibility timeout: {visible_s} seconds is less than Function timeout: {timeout_s} seconds"
        )
    return Source(policy=orjson.loads(found["Policy"]) if found.get("Policy") else None)
