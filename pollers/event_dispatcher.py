"""One attempt at an event, and what follows from it made durable.

The function is read from `state` for every attempt: what runs is the version in force then, never one of the time of
acceptance. The request id is the same for every attempt.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from hearth.clock import Deadline, now_ms
from hearth.errors import HearthError, InvocationTimedOut
from hearth.invoker import Invoker, budget_s
from hearth.model.event import DropReason, Event, failure_of
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, InvocationType, Outcome
from hearth.settings import Settings
from hearth.store import Stores, events
from hearth.store.functions import FunctionTable
from pollers.event_retry import Done, Drop, EventLimits, Retry, Step, after_attempt, before_attempt
from pollers.pacing import Pacing

log = logging.getLogger(__name__)

#: makes an event wait for that many seconds; durable when it returns. Raises HearthError
Delay = Callable[[Event, float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attempted:
    """The event as it is after the attempt, and what is to become of it."""

    event: Event
    step: Step


class EventDispatcher:
    def __init__(self, settings: Settings, stores: Stores, invoker: Invoker) -> None:
        self._settings = settings
        self._state = stores.state
        self._functions = FunctionTable(stores.state)
        self._invoker = invoker
        self._pacing = Pacing(settings.event_pace)
        self._limits = EventLimits(
            max_age_s=settings.event_max_age_seconds, retry_base_s=settings.event_retry_base_seconds
        )

    async def attempt(self, event: Event) -> Attempted:
        """Run it if it may run now. Raises nothing but cancellation: what failed is the reason of a later attempt."""
        if drop := before_attempt(event, age_s=_age_s(event), limits=self._limits):
            return Attempted(event, drop)
        try:
            result: InvocationResult | Drop = await self._run(event)
        except InvocationTimedOut as exc:
            result = InvocationResult(Outcome.LOST, detail=exc.message)
        except HearthError as exc:
            result = InvocationResult(Outcome.UNAVAILABLE, detail=exc.message)
        except Exception:  # a bug of ours must cost neither the event nor its neighbours
            log.exception("attempt failed", extra={"action": "attempt_failed", "request_id": event.request_id})
            result = InvocationResult(Outcome.LOST, detail="internal error")
        if isinstance(result, Drop):
            return Attempted(event, result)
        step = after_attempt(
            result.outcome, runs=event.runs, setbacks=event.setbacks, age_s=_age_s(event), limits=self._limits
        )
        log.debug(
            "event attempted",
            extra={"action": "event_attempted", "request_id": event.request_id, "outcome": result.outcome.value},
        )
        return Attempted(_after(event, result), step)

    async def settle(self, attempted: Attempted, delay: Delay) -> None:
        """Make it durable; then the message may be acknowledged. Raises HearthError; then this is to be repeated."""
        event = attempted.event
        match attempted.step:
            case Done():
                return
            case Retry(delay_s=delay_s):
                await delay(event, delay_s)
            case Drop(reason=reason):
                await events.drop(self._state, event, reason, now_ms())
                log.warning(
                    "event dropped",
                    extra={
                        "action": "event_dropped",
                        "request_id": event.request_id,
                        "function": event.arn,
                        "reason": reason.value,
                    },
                )

    async def _run(self, event: Event) -> InvocationResult | Drop:
        found = await self._functions.resolve(event.account, event.region, event.name, event.qualifier, random.random())
        if found is None:
            return Drop(DropReason.FUNCTION_DELETED)
        _, record = found
        version = record.version
        if version.reserved_concurrency == 0:
            return Drop(DropReason.ZERO_RESERVED_CONCURRENCY)
        if record.state != "Active":
            return InvocationResult(Outcome.UNAVAILABLE, detail=f"The function is {record.state}.")
        async with self._pacing.place():
            deadline = Deadline.after(budget_s(self._settings, version))
            return await self._invoker.invoke(_invocation(event, version, deadline), deadline=deadline)


def _invocation(event: Event, version: FunctionVersion, deadline: Deadline) -> Invocation:
    return Invocation(
        request_id=event.request_id,
        version_key=version.key,
        invoked_arn=event.invoked_arn,
        family=version.family,
        payload=event.payload,
        gives_up_at_ms=deadline.epoch_ms(),
        invocation_type=InvocationType.EVENT,
        trace_id=event.trace_id,
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
