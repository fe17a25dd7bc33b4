"""The record of an event that has ended, in AWS's form: what destinations get and what is kept of dropped events. Pure.

Source: Lambda Developer Guide, asynchronous invocation; members and their order as recorded from AWS.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from hearth.arn import LATEST, function_arn
from hearth.model.event import Event

SUCCESS = "Success"
#: of a payload in a record that is kept; a larger one is replaced by its size
MAX_KEPT_BYTES = 65_536
#: of a dead letter's ErrorMessage
MAX_ERROR_MESSAGE = 1024
_UNHANDLED = "Unhandled"


def invocation_record(
    event: Event,
    condition: str,
    at_ms: int,
    *,
    executed_version: str = "",
    response: bytes = b"",
    max_bytes: int | None = None,
) -> bytes:
    """JSON. executed_version: empty if the function never ran; then nothing is said of a response.

    event.runs: runs that failed; the successful one counts too. max_bytes: a larger payload becomes its size.
    """
    succeeded = condition == SUCCESS
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": function_arn(event.region, event.account, event.name, event.qualifier or LATEST),
            "condition": condition,
            "approximateInvokeCount": event.runs + succeeded,
        },
        "requestPayload": _shown(event.payload, max_bytes),
    }
    if executed_version:
        record["responseContext"] = {"statusCode": 200, "executedVersion": executed_version}
        if not succeeded:
            record["responseContext"]["functionError"] = _UNHANDLED
        record["responsePayload"] = _shown(response, max_bytes)
    return orjson.dumps(record)


def kept_record(event: Event, condition: str, at_ms: int) -> bytes:
    """Of an event that was dropped, with what it carries of its last failure."""
    failure = event.failure
    return invocation_record(
        event,
        condition,
        at_ms,
        executed_version=failure.executed_version if failure else "",
        response=failure.payload if failure else b"",
        max_bytes=MAX_KEPT_BYTES,
    )


def undelivered_record(parcel: Event, condition: str, at_ms: int, why: str) -> bytes:
    """Of a record that could not be delivered: what it was, where it was to go, and why it did not get there."""
    record: dict[str, Any] = orjson.loads(kept_record(parcel, condition, at_ms))
    assert parcel.delivery is not None
    record["destination"] = {"arn": parcel.delivery.target, "condition": parcel.delivery.condition, "error": why}
    return orjson.dumps(record)


def error_message_of(payload: bytes) -> str:
    """errorMessage of a function's error document, its first kilobyte; empty if there is none."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return ""
    text = document.get("errorMessage") if isinstance(document, dict) else None
    return text[:MAX_ERROR_MESSAGE] if isinstance(text, str) else ""


def _shown(payload: bytes, max_bytes: int | None) -> Any:
    """JSON as it is, byte for byte; a runtime may answer with what is none."""
    if max_bytes is not None and len(payload) > max_bytes:
        return f"({len(payload)} bytes)"
    try:
        orjson.loads(payload or b"null")
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace")
    return orjson.Fragment(payload or b"null")
