"""Whether the source of an event source mapping is there, with whoever serves it, and fits the function.

A stream is looked for here first, then at the endpoint that the settings name for its service.
Texts as recorded from AWS.
"""

from __future__ import annotations

import functools

from gateway.call import Call
from hearth.aws_clients import AwsCallFailed, AwsUnreachable, ServiceNotServed
from hearth.clock import Deadline
from hearth.errors import InvalidParameterValue, ServiceError
from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.store.changes import ChangeLogs

_ASK_S = 10.0
_NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


async def check_source(call: Call, mapping: EventSourceMapping, *, timeout_s: int) -> None:
    """timeout_s: the function's. Raises InvalidParameterValue, ServiceError (nobody answers)."""
    if mapping.kind is SourceKind.SQS:
        await _check_queue(call, mapping, timeout_s)
    elif mapping.kind.is_stream and not await _stream_is_there(call, mapping):
        raise InvalidParameterValue(f"Stream not found: {mapping.source_arn}")


async def _stream_is_there(call: Call, mapping: EventSourceMapping) -> bool:
    backends = call.backends
    if mapping.kind is SourceKind.DYNAMODB:
        if await ChangeLogs(backends.stores.state).stream(mapping.source_arn) is not None:
            return True
        service = "dynamodbstreams"
    else:
        read = await backends.streams.get(mapping.source_account, mapping.source_region, mapping.source_name)
        if read is not None:
            known = {read.stream.consumer_arn(consumer) for consumer in read.stream.consumers.values()}
            return mapping.source_arn in {read.stream.arn, *known}
        service = "kinesis"
    # One that lives elsewhere is found by who reads it: its poller tells when it can't.
    return backends.aws.endpoints.elsewhere(service, mapping.source_region) is not None


async def _check_queue(call: Call, mapping: EventSourceMapping, timeout_s: int) -> None:
    ask = functools.partial(
        call.backends.aws.call,
        "sqs",
        account=mapping.source_account,
        region=mapping.source_region,
        deadline=Deadline.after(_ASK_S),
    )
    try:
        found = await ask("GetQueueUrl", QueueName=mapping.source_name)
        url = found["QueueUrl"]
        attributes = await ask("GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"])
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
    visible_s = int(attributes.get("Attributes", {}).get("VisibilityTimeout", timeout_s))
    if visible_s < timeout_s:
        raise InvalidParameterValue(
            f"Queue visibility timeout: {visible_s} seconds is less than Function timeout: {timeout_s} seconds"
        )
