"""One attempt at an event, and what follows from it made durable.

The function is read from `state` for every attempt: what runs is the version in force then, never one of the time of
acceptance. The request id is the same for every attempt. An event that has ended is done with only when its records
have been accepted where they go; those that could not be delivered wait as events of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from hearth.clock import Deadline, now_ms
from hearth.errors import HearthError, InvocationTimedOut
from hearth.invoker import Invoker, budget_s
from hearth.lineage import pass_through
from hearth.model.event import DropReason, Event, failure_of
from hearth.model.invocation import Invocation, InvocationResult, InvocationType, Outcome
from hearth.model.invocation_record import kept_record, undelivered_record
from hearth.settings import Settings
from hearth.store import Stores, events
from hearth.store.functions import FunctionTable
from pollers.destinations import Destinations, NotDelivered
from pollers.event_end import Ways, parcels
from pollers.event_retry import (
    Done,
    Drop,
    EventLimits,
    Retry,
    Step,
    after_attempt,
    after_failed_delivery,
    before_attempt,
)
from pollers.event_target import Target, find_target
from pollers.pacing import Pacing

log = logging.getLogger(__name__)

#: makes an event wait for that many seconds; durable when it returns. Raises HearthError
Delay = Callable[[Event, float], Awaitable[None]]


@dataclass(slots=True)
class Attempted:
    """The event as it is after the attempt, and what is to become of it."""

    event: Event
    step: Step
    #: records to be delivered; each is taken out once it is delivered, or waits
    parcels: list[Event] = field(default_factory=list)


class EventDispatcher:
    def __init__(self, settings: Settings, stores: Stores, invoker: Invoker, destinations: Destinations) -> None:
        self._settings = settings
        self._state = stores.state
        self._functions = FunctionTable(stores.state)
        self._invoker = invoker
        self._pacing = Pacing(settings.event_pace)
        self._destinations = destinations
        self._limits = EventLimits(
            max_age_s=settings.event_max_age_seconds, retry_base_s=settings.event_retry_base_seconds
        )

    async def attempt(self, event: Event) -> Attempted:
        """Run it if it may run now. Raises nothing but cancellation: what failed is the reason of a later attempt."""
        if event.delivery is not None:
            return await self._deliver(event)
        limits, ways = self._limits, Ways()
        try:
            target = await find_target(self._functions, event)
            if target is None:
                return Attempted(event, Drop(DropReason.FUNCTION_DELETED))
            limits, ways = limits.of(target.config), Ways.of(target.config, target.dead_letters)
            outcome: InvocationResult | Drop = (
                before_attempt(event, age_s=_age_s(event), limits=limits)
                or target.refusal(event)
                or await self._run(event, target)
            )
        except InvocationTimedOut as exc:
            outcome = InvocationResult(Outcome.LOST, detail=exc.message)
        except HearthError as exc:
            outcome = InvocationResult(Outcome.UNAVAILABLE, detail=exc.message)
        except Exception:  # a bug of ours must cost neither the event nor its neighbours
            log.exception("attempt failed", extra={"action": "attempt_failed", "request_id": event.request_id})
            outcome = InvocationResult(Outcome.LOST, detail="internal error")
        if isinstance(outcome, Drop):
            return Attempted(event, outcome, parcels(event, outcome, None, ways, now_ms()))
        step = after_attempt(
            outcome.outcome, runs=event.runs, setbacks=event.setbacks, age_s=_age_s(event), limits=limits
        )
        log.debug(
            "event attempted",
            extra={"action": "event_attempted", "request_id": event.request_id, "outcome": outcome.outcome.value},
        )
        after = _after(event, outcome)
        return Attempted(after, step, parcels(after, step, outcome, ways, now_ms()))

    async def settle(self, attempted: Attempted, delay: Delay) -> None:
        """Make it durable; then the message may be acknowledged. Raises HearthError; then this is to be repeated."""
        event = attempted.event
        while attempted.parcels:
            await self._send_or_keep(attempted.parcels[0], delay)
            del attempted.parcels[0]
        match attempted.step:
            case Done():
                return
            case Retry(delay_s=delay_s):
                await delay(event, delay_s)
            case Drop(reason=reason, why=why):
                at_ms = now_ms()
                record = undelivered_record(event, reason, at_ms, why) if why else kept_record(event, reason, at_ms)
                await events.drop(self._state, event, reason, record)
                log.warning(
                    "event dropped",
                    extra={
                        "action": "event_dropped",
                        "request_id": event.request_id,
                        "function": event.arn,
                        "reason": reason.value,
                        "why": why,
                    },
                )

    async def _send_or_keep(self, parcel: Event, delay: Delay) -> None:
        """Delivered, or waiting to be, when this returns. Raises HearthError."""
        sent = await self._deliver(parcel)
        await self.settle(sent, delay)

    async def _deliver(self, parcel: Event) -> Attempted:
        """One attempt to deliver; raises nothing but cancellation."""
        assert parcel.delivery is not None
        try:
            await self._destinations.send(parcel)
            return Attempted(parcel, Done())
        except NotDelivered as exc:
            why, final = str(exc), exc.final
        except Exception as exc:  # a bug of ours must cost neither the record nor its neighbours
            log.exception("delivery failed", extra={"action": "delivery_failed", "request_id": parcel.request_id})
            why, final = f"internal error: {exc!r}", False
        log.warning(
            "record not delivered",
            extra={
                "action": "record_not_delivered",
                "request_id": parcel.request_id,
                "destination": parcel.delivery.target,
                "why": why,
            },
        )
        step = after_failed_delivery(parcel, why, final=final, age_s=_age_s(parcel))
        refused, away = parcel.runs + final, parcel.setbacks + (not final)
        return Attempted(replace(parcel, runs=refused, setbacks=away, attempts=parcel.attempts + 1), step)

    async def _run(self, event: Event, target: Target) -> InvocationResult:
        if not target.runnable:
            return InvocationResult(Outcome.UNAVAILABLE, detail="The function is not active.")
        async with self._pacing.place():
            deadline = Deadline.after(budget_s(self._settings, target.version))
            return await self._invoker.invoke(_invocation(event, target, deadline), deadline=deadline)


def _invocation(event: Event, target: Target, deadline: Deadline) -> Invocation:
    trace_id, _ = pass_through(event.trace_id, event.arn)
    return Invocation(
        request_id=event.request_id,
        version_key=target.version.key,
        invoked_arn=event.invoked_arn,
        family=target.version.family,
        payload=event.payload,
        gives_up_at_ms=deadline.epoch_ms(),
        invocation_type=InvocationType.EVENT,
        trace_id=trace_id,
        content_type=event.content_type,
        attempt=event.attempts + 1,
    )


def _after(event: Event, result: InvocationResult) -> Event:
    """Its counts after an attempt."""
    if result.outcome is Outcome.FUNCTION_ERROR:
        return replace(event, runs=event.runs + 1, setbacks=0, attempts=event.attempts + 1, failure=failure_of(result))
    return replace(event, setbacks=event.setbacks + 1, attempts=event.attempts + 1)


def _age_s(event: Event) -> float:
    return max(0.0, (now_ms() - event.accepted_at_ms) / 1000)
