"""Messages of SQS as a function sees them. Pure.

Source: Lambda Developer Guide, SQS event; members and their absence as recorded from AWS.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson


def sqs_record(message: dict[str, Any], queue_arn: str, *, windowed: bool) -> dict[str, Any]:
    """message: as ReceiveMessage answers it. windowed: the mapping has a batching window.

    Without attributes of the message AWS says so (null) with a window, and says nothing without one.
    """
    digest = message.get("MD5OfMessageAttributes")
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message.get("Body", ""),
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _attribute(value) for name, value in (message.get("MessageAttributes") or {}).items()
        },
        "md5OfMessageAttributes": digest,
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
    if digest is None and not windowed:
        del record["md5OfMessageAttributes"]
    return record


def encoded(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record)


def trace_of(messages: list[dict[str, Any]]) -> str:
    """The X-Ray header that a batch carries on: the first one that a message brought; empty: none did."""
    headers = (message.get("Attributes", {}).get("AWSTraceHeader", "") for message in messages)
    return next((header for header in headers if header), "")


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if "StringValue" in value:
        shown["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        shown["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return {**shown, "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
