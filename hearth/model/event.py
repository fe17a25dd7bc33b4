"""An accepted asynchronous invocation (an event), and a record of one that is on its way to a destination.

Source: Lambda Developer Guide, asynchronous invocation.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass

from hearth.arn import LATEST, function_arn
from hearth.model.invocation import InvocationResult, Outcome

#: of the last error that travels with the event; it is a header, and headers must fit into one frame
MAX_CARRIED_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Failure:
    """How the last run of the function ended that counted. `payload`: its error document, b"" if it was too large."""

    executed_version: str
    payload: bytes


class DeliveryKind(enum.StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    #: the event itself, to the function's dead-letter queue
    DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a record goes. condition: what the record says of the event's end. error_*: a dead letter's attributes.
    folder: where in a bucket it lies, before the date; empty: where records of events do."""

    kind: DeliveryKind
    target: str
    condition: str
    error_code: int = 200
    error_message: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """`payload` is what the caller sent, byte for byte. The function is resolved anew for every attempt.

    With a `delivery` it is a parcel: the event has ended, and the payload is what is to be delivered.
    """

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
    delivery: Delivery | None = None

    @property
    def arn(self) -> str:
        """Unqualified: events are partitioned and shared out by it."""
        return function_arn(self.region, self.account, self.name)

    @property
    def invoked_arn(self) -> str:
        return function_arn(self.region, self.account, self.name, self.qualifier or None)


class DropReason(enum.StrEnum):
    """The first three are AWS's `condition`s; so that AWS's words stay AWS's, the others read differently."""

    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"
    #: there is no such function or qualifier any more
    FUNCTION_DELETED = "FunctionDeleted"
    #: its chain of invocations came through the function too often
    RECURSION = "RecursiveInvocation"
    #: it ended, but its record could not be delivered
    DESTINATION_FAILED = "DestinationDeliveryFailed"
    DEAD_LETTER_FAILED = "DeadLetterFailed"


def partition_of(arn: str, partitions: int) -> int:
    """The same in every process and version: events of one function are all in one partition."""
    return zlib.crc32(arn.encode()) % partitions


def failure_of(result: InvocationResult) -> Failure | None:
    """What an event carries of a result; None if the function did not fail."""
    if result.outcome is not Outcome.FUNCTION_ERROR:
        return None
    fits = len(result.payload) <= MAX_CARRIED_BYTES
    return Failure(result.executed_version or LATEST, result.payload if fits else b"")
