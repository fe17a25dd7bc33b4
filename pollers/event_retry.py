"""What happens to an event after an attempt: done, tried again after a while, or dropped with its reason. Pure.

Function errors count and are retried twice, or as often as its configuration says; what the platform could not carry
out (throttled, no worker, lost, no answer in time) backs off and does not count. Whatever would be older than the
maximum age by its next attempt is dropped at once. A record that could not be delivered backs off in the same way.
Source: Lambda Developer Guide, asynchronous invocation, error handling; ages as recorded from AWS.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.model.event import DeliveryKind, DropReason, Event
from hearth.model.event_config import EventInvokeConfig
from hearth.model.invocation import Outcome

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 300.0
#: a record is delivered within so long after its event was accepted, or never
MAX_DELIVERY_AGE_S = 43_200.0
#: attempts at a delivery that the other side refuses: what it is sent to may just be in the making
MAX_REFUSALS = 3


@dataclass(frozen=True, slots=True)
class EventLimits:
    """AWS's defaults; `retry_base_s`: before the second run, twice that before the third."""

    max_retries: int = 2
    max_age_s: float = 21_600.0
    retry_base_s: float = 60.0

    def of(self, config: EventInvokeConfig | None) -> EventLimits:
        """As the configuration of the event's qualifier has them."""
        if config is None:
            return self
        return EventLimits(
            self.max_retries if config.max_retries is None else config.max_retries,
            self.max_age_s if config.max_age_s is None else config.max_age_s,
            self.retry_base_s,
        )


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
    """why: what the record of an undelivered parcel says."""

    reason: DropReason
    why: str = ""


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


def after_failed_delivery(parcel: Event, why: str, *, final: bool, age_s: float) -> Retry | Drop:
    """final: the other side refused it (parcel.runs counts that), rather than being away (parcel.setbacks)."""
    assert parcel.delivery is not None
    kind = parcel.delivery.kind
    delay_s = backoff_s(parcel.runs if final else parcel.setbacks)
    if (final and parcel.runs + 1 >= MAX_REFUSALS) or age_s + delay_s > MAX_DELIVERY_AGE_S:
        dead_letter = kind is DeliveryKind.DEAD_LETTER
        return Drop(DropReason.DEAD_LETTER_FAILED if dead_letter else DropReason.DESTINATION_FAILED, why)
    return Retry(delay_s, counts=final)


def rounded_delay_s(remaining_s: float) -> float:
    """The shortest of the back-off's delays that lasts as long: there is a queue for each, but not for every number."""
    return next(
        delay_s for delay_s in map(backoff_s, range(17)) if delay_s >= remaining_s or delay_s == LONGEST_BACKOFF_S
    )


def backoff_s(setbacks: int) -> float:
    """1 s doubling to 5 min. No jitter: each delay has a queue of its own."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(setbacks, 16))
