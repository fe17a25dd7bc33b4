"""Which records go where when an event ends, and what follows when one can't be delivered: tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hearth.model.event import Delivery, DeliveryKind, DropReason, Event, Failure
from hearth.model.event_config import EventInvokeConfig
from hearth.model.invocation import InvocationResult, Outcome
from pollers.event_end import Ways, parcels
from pollers.event_retry import (
    MAX_DELIVERY_AGE_S,
    Done,
    Drop,
    EventLimits,
    Retry,
    after_failed_delivery,
)

EVENT = Event("id", "000000000000", "us-east-1", "f", b'{"a": 1}', accepted_at_ms=0)
ALL = Ways("on-success", "on-failure", "dead-letters")
EXHAUSTED = Drop(DropReason.RETRIES_EXHAUSTED)
FAILED = InvocationResult(Outcome.FUNCTION_ERROR, b'{"errorMessage": "no"}', executed_version="2")


def targets(step: Done | Drop | Retry, ways: Ways, result: InvocationResult | None = FAILED) -> list[str]:
    sent = parcels(EVENT, step, result, ways, 0)
    return [one.delivery.target for one in sent if one.delivery is not None]


@pytest.mark.parametrize(
    ("step", "ways", "expected"),
    [
        (Done(), ALL, ["on-success"]),
        (Done(), Ways(on_failure="f", dead_letters="d"), []),
        (EXHAUSTED, ALL, ["on-failure", "dead-letters"]),
        (EXHAUSTED, Ways(on_success="s"), []),
        (EXHAUSTED, Ways(dead_letters="d"), ["d"]),
        (Retry(1.0, counts=True), ALL, []),
        # what ended a circle of functions must not begin it anew
        (Drop(DropReason.RECURSION), Ways(on_failure="arn:aws:lambda:f", dead_letters="d"), ["d"]),
        (Drop(DropReason.RECURSION), Ways(on_failure="arn:aws:sqs:q"), ["arn:aws:sqs:q"]),
    ],
)
def test_end_decides_where_records_go(step: Done | Drop | Retry, ways: Ways, expected: list[str]) -> None:
    assert targets(step, ways) == expected


def test_dead_letter_is_the_event_itself_with_the_errors_attributes() -> None:
    (letter,) = parcels(replace(EVENT, runs=3), EXHAUSTED, FAILED, Ways(dead_letters="d"), 0)
    assert letter.payload == EVENT.payload
    assert letter.delivery == Delivery(DeliveryKind.DEAD_LETTER, "d", "RetriesExhausted", 200, "no")


@pytest.mark.parametrize(
    ("event", "result", "code", "message"),
    [
        # it ran and failed earlier, and was throttled since
        (replace(EVENT, failure=Failure("1", b'{"errorMessage": "old"}')), None, 200, "old"),
        (EVENT, InvocationResult(Outcome.THROTTLED, detail="x"), 429, "Rate Exceeded."),
        (EVENT, InvocationResult(Outcome.LOST, detail="gone"), 500, "gone"),
        (EVENT, None, 429, "Rate Exceeded."),
    ],
)
def test_dead_letter_tells_what_the_last_attempt_came_to(
    event: Event, result: InvocationResult | None, code: int, message: str
) -> None:
    (letter,) = parcels(event, Drop(DropReason.EVENT_AGE_EXCEEDED), result, Ways(dead_letters="d"), 0)
    assert letter.delivery is not None
    assert (letter.delivery.error_code, letter.delivery.error_message) == (code, message)


def test_record_of_a_failure_has_the_whole_answer_of_the_run_that_was_just_now() -> None:
    carried = replace(EVENT, runs=3, failure=Failure("2", b""))
    (record,) = parcels(carried, EXHAUSTED, FAILED, Ways(on_failure="f"), 0)
    assert json.loads(record.payload)["responsePayload"] == {"errorMessage": "no"}


def test_parcel_counts_its_own_tries() -> None:
    (record,) = parcels(replace(EVENT, runs=3, setbacks=7, attempts=9), Done(), FAILED, ALL, 0)
    assert (record.runs, record.setbacks, record.attempts, record.failure) == (0, 0, 0, None)
    assert "Lineage=" in record.trace_id, "the chain goes on through it"
    assert record.request_id == EVENT.request_id


@pytest.mark.parametrize(
    ("final", "refused", "away", "age_s", "step"),
    [
        (False, 0, 0, 0.0, Retry(1.0, counts=False)),
        (False, 0, 9, 1000.0, Retry(300.0, counts=False)),
        (False, 0, 9, MAX_DELIVERY_AGE_S, Drop(DropReason.DESTINATION_FAILED, "why")),
        # what refuses is asked again, but not for long, however long it was away before
        (True, 0, 9, 0.0, Retry(1.0, counts=True)),
        (True, 1, 9, 0.0, Retry(2.0, counts=True)),
        (True, 2, 0, 0.0, Drop(DropReason.DESTINATION_FAILED, "why")),
    ],
)
def test_failed_delivery_is_tried_again_or_given_up(
    final: bool, refused: int, away: int, age_s: float, step: Retry | Drop
) -> None:
    parcel = replace(EVENT, delivery=Delivery(DeliveryKind.SUCCESS, "t", "Success"), runs=refused, setbacks=away)
    assert after_failed_delivery(parcel, "why", final=final, age_s=age_s) == step


def test_dead_letter_that_is_given_up_has_a_reason_of_its_own() -> None:
    letter = replace(EVENT, delivery=Delivery(DeliveryKind.DEAD_LETTER, "t", "RetriesExhausted"), runs=2)
    step = after_failed_delivery(letter, "why", final=True, age_s=0)
    assert step == Drop(DropReason.DEAD_LETTER_FAILED, "why")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, (2, 21_600.0)),
        (EventInvokeConfig(0), (2, 21_600.0)),
        (EventInvokeConfig(0, max_retries=0, max_age_s=60), (0, 60.0)),
    ],
)
def test_configuration_overrides_the_limits_that_it_sets(
    config: EventInvokeConfig | None, expected: tuple[int, float]
) -> None:
    limits = EventLimits().of(config)
    assert (limits.max_retries, limits.max_age_s) == expected
