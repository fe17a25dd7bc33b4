"""What happens to an event after an attempt: done, tried again after a while, or dropped with its reason. Pure.

Function errors count and are retried twice; what the platform could not carry out (throttled, no worker, lost, no
answer in time) backs off and does not count. Whatever would be older than the maximum age by its next attempt is
dropped at once. Source: Lambda Developer Guide, asynchronous invocation, error handling; ages as recorded from AWS.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.model.event import DropReason, Event
from hearth.model.invocation import Outcome

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 300.0


@dataclass(frozen=True, slots=True)
class EventLimits:
    """AWS's defaults; `retry_base_s`: before the second run, twice that before the third."""

    max_retries: int = 2
    max_age_s: float = 21_600.0
    retry_base_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    pass


@dataclass(frozen=True, slots=True)
class Retry:
    """`counts`: the function ran and failed."""

    delay_s: float
    counts: bool


@dataclass(frozen=True, slots=True)
class Drop:
    reason: DropReason


Step = Done | Retry | Drop


def before_attempt(event: Event, *, age_s: float, limits: EventLimits) -> Drop | None:
    """Whether it may be tried at all; its last outcome may have been left without its consequence by a crash."""
    if event.runs > limits.max_retries:
        return Drop(DropReason.RETRIES_EXHAUSTED)
    if age_s > limits.max_age_s:
        return Drop(DropReason.EVENT_AGE_EXCEEDED)
    return None


def after_attempt(outcome: Outcome, *, runs: int, setbacks: int, age_s: float, limits: EventLimits) -> Step:
    """runs: failed runs before this attempt; setbacks: attempts since the last run that did not count."""
    if outcome is Outcome.OK:
        return Done()
    counts = outcome is Outcome.FUNCTION_ERROR
    if counts and runs >= limits.max_retries:
        return Drop(DropReason.RETRIES_EXHAUSTED)
    delay_s = limits.retry_base_s * 2**runs if counts else backoff_s(setbacks)
    if age_s + delay_s > limits.max_age_s:
        return Drop(DropReason.EVENT_AGE_EXCEEDED)
    return Retry(delay_s, counts)


def rounded_delay_s(remaining_s: float) -> float:
    """The shortest of the back-off's delays that lasts as long: there is a queue for each, but not for every number."""
    return next(
        delay_s for delay_s in map(backoff_s, range(17)) if delay_s >= remaining_s or delay_s == LONGEST_BACKOFF_S
    )


def backoff_s(setbacks: int) -> float:
    """1 s doubling to 5 min. No jitter: each delay has a queue of its own."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(setbacks, 16))
