"""SQS, SNS, EventBridge and S3 as destinations, and SQS and SNS as dead-letter queues, at whoever serves them.

Source: Lambda Developer Guide, asynchronous invocation, destinations and dead-letter queues; attributes and members as
recorded from AWS.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from hearth.arn import LATEST, function_arn
from hearth.aws_clients import AwsClients
from hearth.clock import Deadline
from hearth.errors import HearthError
from hearth.model.destination import Destination, DestinationKind
from hearth.model.event import DeliveryKind, Event
from pollers.destinations.failures import NotDelivered

#: what SQS takes for something else than "not now"
_BUSY = ("throttl", "toomanyrequests", "requestlimitexceeded", "slowdown", "serviceunavailable", "overlimit")


async def send(aws: AwsClients, destination: Destination, parcel: Event, deadline: Deadline) -> None:
    """Raises NotDelivered, HearthError (the service's own error, or no answer came)."""
    match destination.kind:
        case DestinationKind.QUEUE:
            await _to_queue(aws, destination, parcel, deadline)
        case DestinationKind.TOPIC:
            await _to_topic(aws, destination, parcel, deadline)
        case DestinationKind.BUS:
            await _to_bus(aws, destination, parcel, deadline)
        case DestinationKind.BUCKET:
            await _to_bucket(aws, destination, parcel, deadline)


async def _call(
    aws: AwsClients, destination: Destination, parcel: Event, deadline: Deadline, operation: str, **given: Any
) -> Any:
    """As the function's account, in the destination's region; a busy service is no refusal."""
    try:
        return await aws.call(
            destination.kind.value,
            operation,
            account=parcel.account,
            region=destination.region or parcel.region,
            deadline=deadline,
            **given,
        )
    except HearthError as exc:
        if any(word in exc.code.lower() for word in _BUSY):
            raise NotDelivered(str(exc), final=False) from exc
        raise


async def _to_queue(aws: AwsClients, destination: Destination, parcel: Event, deadline: Deadline) -> None:
    found = await _call(
        aws,
        destination,
        parcel,
        deadline,
        "GetQueueUrl",
        QueueName=destination.resource,
        QueueOwnerAWSAccountId=destination.account,
    )
    given: dict[str, Any] = {"QueueUrl": found["QueueUrl"], "MessageBody": parcel.payload.decode("utf-8", "replace")}
    if parcel.trace_id:
        given["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": parcel.trace_id}}
    if attributes := _attributes(parcel):
        given["MessageAttributes"] = attributes
    await _call(aws, destination, parcel, deadline, "SendMessage", **given)


async def _to_topic(aws: AwsClients, destination: Destination, parcel: Event, deadline: Deadline) -> None:
    given: dict[str, Any] = {"TopicArn": destination.arn, "Message": parcel.payload.decode("utf-8", "replace")}
    if attributes := _attributes(parcel):
        given["MessageAttributes"] = attributes
    await _call(aws, destination, parcel, deadline, "Publish", **given)


async def _to_bus(aws: AwsClients, destination: Destination, parcel: Event, deadline: Deadline) -> None:
    assert parcel.delivery is not None
    how = "Success" if parcel.delivery.kind is DeliveryKind.SUCCESS else "Failure"
    entry = {
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {how}",
        "Resources": [
            destination.arn,
            function_arn(parcel.region, parcel.account, parcel.name, parcel.qualifier or LATEST),
        ],
        "Detail": parcel.payload.decode("utf-8", "replace"),
        "EventBusName": destination.resource.removeprefix("event-bus/"),
    }
    answer = await _call(aws, destination, parcel, deadline, "PutEvents", Entries=[entry])
    if answer.get("FailedEntryCount"):
        failed = answer["Entries"][0]
        raise NotDelivered(f"events:PutEvents: {failed.get('ErrorCode')}: {failed.get('ErrorMessage')}", final=False)


async def _to_bucket(aws: AwsClients, destination: Destination, parcel: Event, deadline: Deadline) -> None:
    now = datetime.now(UTC)
    assert parcel.delivery is not None
    folder = parcel.delivery.folder or f"aws/lambda/async/{parcel.name}"
    key = f"{folder}/{now:%Y/%m/%d}/{now:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
    await _call(
        aws,
        destination,
        parcel,
        deadline,
        "PutObject",
        Bucket=destination.resource,
        Key=key,
        Body=parcel.payload,
        ContentType="application/json",
    )


def _attributes(parcel: Event) -> dict[str, Any]:
    """Of a dead letter; a destination's record says all that itself."""
    delivery = parcel.delivery
    assert delivery is not None
    if delivery.kind is not DeliveryKind.DEAD_LETTER:
        return {}
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": parcel.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": str(delivery.error_code)},
    }
    if delivery.error_message:
        attributes["ErrorMessage"] = {"DataType": "String", "StringValue": delivery.error_message}
    return attributes
