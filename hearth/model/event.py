"""An accepted asynchronous invocation (an event), and what is kept of one that was dropped.

Source: Lambda Developer Guide, asynchronous invocation; the invocation record as recorded from AWS.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from hearth.arn import LATEST, function_arn
from hearth.model.invocation import InvocationResult, Outcome

MAX_EVENT_BYTES = 1_048_576
#: of a request's or a response's payload in a record; a larger one is replaced by its size
MAX_RECORDED_BYTES = 65_536
#: of the last error that travels with the event; it is a header, and headers must fit into one frame
MAX_CARRIED_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Failure:
    """How the last run of the function ended that counted. `payload`: its error document, b"" if it was too large."""

    executed_version: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """`payload` is what the caller sent, byte for byte. The function is resolved anew for every attempt."""

    request_id: str
    account: str
    region: str
    name: str
    payload: bytes
    #: epoch ms of the acceptance: the age counts from here
    accepted_at_ms: int
    #: as the caller gave it; empty: none
    qualifier: str = ""
    trace_id: str = ""
    content_type: str = "application/json"
    #: times the function ran and failed
    runs: int = 0
    #: attempts since then that the platform could not carry out (throttled, no worker, lost)
    setbacks: int = 0
    #: all attempts, whatever came of them
    attempts: int = 0
    failure: Failure | None = None
    #: epoch ms before which it is not attempted again; 0: at once
    due_at_ms: int = 0

    @property
    def arn(self) -> str:
        """Unqualified: events are partitioned and shared out by it."""
        return function_arn(self.region, self.account, self.name)

    @property
    def invoked_arn(self) -> str:
        return function_arn(self.region, self.account, self.name, self.qualifier or None)


class DropReason(enum.StrEnum):
    """The first three are AWS's `condition`s."""

    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"
    #: there is no such function or qualifier any more
    FUNCTION_DELETED = "FunctionDeleted"


def partition_of(arn: str, partitions: int) -> int:
    """The same in every process and version: events of one function are all in one partition."""
    return zlib.crc32(arn.encode()) % partitions


def failure_of(result: InvocationResult) -> Failure | None:
    """What an event carries of a result; None if the function did not fail."""
    if result.outcome is not Outcome.FUNCTION_ERROR:
        return None
    fits = len(result.payload) <= MAX_CARRIED_BYTES
    return Failure(result.executed_version or LATEST, result.payload if fits else b"")


def invocation_record(event: Event, reason: DropReason, at_ms: int) -> bytes:
    """AWS's record of an event that did not succeed, JSON. Payloads above MAX_RECORDED_BYTES become their size."""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": function_arn(event.region, event.account, event.name, event.qualifier or LATEST),
            "condition": reason.value,
            "approximateInvokeCount": event.runs,
        },
        "requestPayload": _recorded(event.payload),
    }
    if event.failure is not None:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": event.failure.executed_version,
            "functionError": "Unhandled",
        }
        record["responsePayload"] = _recorded(event.failure.payload)
    return orjson.dumps(record)


def _recorded(payload: bytes) -> Any:
    """JSON as it is; a runtime may answer with what is none."""
    if len(payload) > MAX_RECORDED_BYTES:
        return f"({len(payload)} bytes)"
    try:
        return orjson.loads(payload or b"null")
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace")
