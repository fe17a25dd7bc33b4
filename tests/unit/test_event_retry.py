"""What becomes of an event after an attempt: a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.model.event import DropReason, Event
from hearth.model.invocation import Outcome
from pollers.event_retry import Done, Drop, EventLimits, Retry, Step, after_attempt, backoff_s, before_attempt

AWS = EventLimits()
HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("outcome", "runs", "setbacks", "age_s", "step"),
    [
        (Outcome.OK, 0, 0, 1.0, Done()),
        (Outcome.OK, 2, 9, 7 * HOUR_S, Done()),
        (Outcome.FUNCTION_ERROR, 0, 0, 1.0, Retry(60.0, counts=True)),
        (Outcome.FUNCTION_ERROR, 1, 0, 61.0, Retry(120.0, counts=True)),
        (Outcome.FUNCTION_ERROR, 2, 0, 181.0, Drop(DropReason.RETRIES_EXHAUSTED)),
        (Outcome.FUNCTION_ERROR, 2, 0, 7 * HOUR_S, Drop(DropReason.RETRIES_EXHAUSTED)),
        (Outcome.FUNCTION_ERROR, 0, 0, 6 * HOUR_S - 60, Retry(60.0, counts=True)),
        (Outcome.FUNCTION_ERROR, 0, 0, 6 * HOUR_S - 59, Drop(DropReason.EVENT_AGE_EXCEEDED)),
        (Outcome.THROTTLED, 0, 0, 1.0, Retry(1.0, counts=False)),
        (Outcome.THROTTLED, 0, 5, 1.0, Retry(32.0, counts=False)),
        (Outcome.THROTTLED, 2, 99, 1.0, Retry(300.0, counts=False)),
        (Outcome.UNAVAILABLE, 0, 1, 1.0, Retry(2.0, counts=False)),
        (Outcome.LOST, 0, 2, 1.0, Retry(4.0, counts=False)),
        (Outcome.LOST, 2, 20, 6 * HOUR_S - 299, Drop(DropReason.EVENT_AGE_EXCEEDED)),
    ],
)
def test_outcome_decides_what_follows(outcome: Outcome, runs: int, setbacks: int, age_s: float, step: Step) -> None:
    assert after_attempt(outcome, runs=runs, setbacks=setbacks, age_s=age_s, limits=AWS) == step


@given(
    outcome=st.sampled_from(Outcome),
    runs=st.integers(0, 5),
    setbacks=st.integers(0, 10_000),
    age_s=st.floats(0, 100_000),
)
def test_no_attempt_comes_after_the_maximum_age(outcome: Outcome, runs: int, setbacks: int, age_s: float) -> None:
    step = after_attempt(outcome, runs=runs, setbacks=setbacks, age_s=age_s, limits=AWS)
    if isinstance(step, Retry):
        assert age_s + step.delay_s <= AWS.max_age_s
        assert step.counts == (outcome is Outcome.FUNCTION_ERROR)


def test_backoff_doubles_from_a_second_to_five_minutes() -> None:
    assert [backoff_s(setbacks) for setbacks in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def event(runs: int) -> Event:
    return Event("id", "000000000000", "us-east-1", "f", b"{}", accepted_at_ms=0, runs=runs)


@pytest.mark.parametrize(
    ("runs", "age_s", "drop"),
    [
        (0, 0.0, None),
        (2, 6 * HOUR_S, None),
        (0, 6 * HOUR_S + 1, Drop(DropReason.EVENT_AGE_EXCEEDED)),
        (3, 0.0, Drop(DropReason.RETRIES_EXHAUSTED)),
    ],
)
def test_event_that_was_left_unsettled_is_not_run_beyond_its_limits(runs: int, age_s: float, drop: Drop | None) -> None:
    assert before_attempt(event(runs), age_s=age_s, limits=AWS) == drop
