"""An event's end: which records go where, as parcels to be delivered. Pure.

On failure the destination gets the record and the dead-letter queue the event as it was sent, both if both are set.
Source: Lambda Developer Guide, asynchronous invocation, destinations and dead-letter queues.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hearth.lineage import pass_through
from hearth.model.event import Delivery, DeliveryKind, DropReason, Event
from hearth.model.event_config import EventInvokeConfig
from hearth.model.invocation import InvocationResult, Outcome
from hearth.model.invocation_record import SUCCESS, error_message_of, invocation_record
from pollers.event_retry import Done, Drop, Step

#: ErrorCode of a dead letter: what the last attempt's caller would have got
_RAN, _THROTTLED, _FAILED = 200, 429, 500


@dataclass(frozen=True, slots=True)
class Ways:
    """Where records of one function, called by one qualifier, go. Empty: nowhere."""

    on_success: str = ""
    on_failure: str = ""
    dead_letters: str = ""

    @classmethod
    def of(cls, config: EventInvokeConfig | None, dead_letters: str) -> Ways:
        return cls(config.on_success, config.on_failure, dead_letters) if config else cls(dead_letters=dead_letters)


def parcels(event: Event, step: Step, result: InvocationResult | None, ways: Ways, at_ms: int) -> list[Event]:
    """event: as it is after its last attempt. result: that attempt's, None if there was none."""
    match step:
        case Done() if ways.on_success:
            assert result is not None
            record = invocation_record(
                event, SUCCESS, at_ms, executed_version=result.executed_version, response=result.payload
            )
            return [_parcel(event, record, Delivery(DeliveryKind.SUCCESS, ways.on_success, SUCCESS))]
        case Drop(reason=reason):
            condition, sent = reason.value, []
            # What ended a circle must not begin it anew.
            on_again = reason is DropReason.RECURSION and ":lambda:" in ways.on_failure
            if ways.on_failure and not on_again:
                version, response = _response(event, result)
                record = invocation_record(event, condition, at_ms, executed_version=version, response=response)
                sent.append(_parcel(event, record, Delivery(DeliveryKind.FAILURE, ways.on_failure, condition)))
            if ways.dead_letters:
                code, message = _error(event, result)
                delivery = Delivery(DeliveryKind.DEAD_LETTER, ways.dead_letters, condition, code, message)
                sent.append(_parcel(event, event.payload, delivery))
            return sent
    return []


def _parcel(event: Event, body: bytes, delivery: Delivery) -> Event:
    """Its age counts from the event's acceptance; its tries are its own. Its trace has come through the function."""
    trace_id, _ = pass_through(event.trace_id, event.arn)
    return replace(
        event,
        payload=body,
        delivery=delivery,
        trace_id=trace_id,
        runs=0,
        setbacks=0,
        attempts=0,
        failure=None,
        due_at_ms=0,
    )


def _response(event: Event, result: InvocationResult | None) -> tuple[str, bytes]:
    """Version and answer of the last run that failed: in full if it was just now, else what the event carries."""
    if result is not None and result.outcome is Outcome.FUNCTION_ERROR:
        return result.executed_version, result.payload
    if event.failure is not None:
        return event.failure.executed_version, event.failure.payload
    return "", b""


def _error(event: Event, result: InvocationResult | None) -> tuple[int, str]:
    if result is not None and result.outcome is Outcome.FUNCTION_ERROR:
        return _RAN, error_message_of(result.payload)
    if event.failure is not None:
        return _RAN, error_message_of(event.failure.payload)
    if result is not None and result.outcome is not Outcome.THROTTLED:
        return _FAILED, result.detail
    return _THROTTLED, "Rate Exceeded."
