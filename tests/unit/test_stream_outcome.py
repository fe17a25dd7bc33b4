"""What becomes of a batch after a run, and of records that have grown too old."""

from __future__ import annotations

import pytest

from pollers.item_failures import BadReport, reported_failures
from pollers.streams.outcome import FailurePolicy, Step, Work, backoff_s, failed, succeeded, too_old
from tests.unit.test_stream_batching import a_record

RECORDS = tuple(a_record(number, at_ms=number * 1000) for number in range(4))


def ends(policy: FailurePolicy, poison: int, count: int) -> tuple[list[int], list[list[int]], int]:
    """(processed, given up, runs) of so many records, of which one always fails."""
    works, processed, given_up, runs = [Work(tuple(a_record(n) for n in range(count)))], [], [], 0
    while works:
        work = works.pop(0)
        runs += 1
        orders = [record.order for record in work.records]
        step: Step = failed(work, policy) if poison in orders else succeeded(work)
        processed += orders[: step.done]
        if step.given_up:
            given_up.append([record.order for record in step.given_up.records])
        works = [*step.again, *works]
    return processed, given_up, runs


def test_a_batch_that_fails_is_given_up_after_its_retries() -> None:
    assert ends(FailurePolicy(max_retries=2), 1, 3) == ([], [[0, 1, 2]], 3)
    assert ends(FailurePolicy(max_retries=0), 1, 3) == ([], [[0, 1, 2]], 1)


@pytest.mark.parametrize("poison", [0, 3, 499, 999])
def test_bisecting_leaves_exactly_the_poison_record(poison: int) -> None:
    processed, given_up, _ = ends(FailurePolicy(max_retries=2, bisect=True), poison, 1000)
    assert given_up == [[poison]]
    assert processed == [number for number in range(1000) if number != poison]


def test_without_a_limit_it_is_tried_again_and_again() -> None:
    work = Work(RECORDS)
    for number in range(1, 50):
        step = failed(work, FailurePolicy())
        assert (step.done, step.given_up, step.backs_off) == (0, None, True)
        (work,) = step.again
        assert (work.failures, work.runs) == (number, number)


def test_what_was_reported_as_done_is_through_and_the_rest_is_a_batch_of_its_own() -> None:
    step = failed(Work(RECORDS, failures=2, runs=2), FailurePolicy(max_retries=2), first_failed=2)
    assert step == Step(done=2, again=(Work(RECORDS[2:]),), backs_off=True)


def test_a_bisecting_mapping_splits_at_the_reported_record() -> None:
    step = failed(Work(RECORDS), FailurePolicy(max_retries=0, bisect=True), first_failed=3)
    assert step == Step(done=3, again=(Work(RECORDS[3:]),))


def test_only_the_records_that_have_expired_are_given_up() -> None:
    policy = FailurePolicy(max_age_ms=1500)
    assert too_old(Work(RECORDS), policy, now_ms=1500) is None
    step = too_old(Work(RECORDS, 1, 1), policy, now_ms=3400)
    assert step == Step(
        again=(Work(RECORDS[2:], 1, 1),), given_up=Work(RECORDS[:2], 1, 1), condition="RecordAgeExceeded"
    )
    step = too_old(Work(RECORDS), policy, now_ms=99_000)
    assert step is not None
    assert (step.again, step.given_up) == ((), Work(RECORDS))


def test_eight_runs_of_a_failing_batch_fit_into_a_minute() -> None:
    pauses = [backoff_s(number, 0.25) for number in range(1, 30)]
    assert sum(pauses[:7]) < 60 < sum(pauses[:8])
    assert max(pauses) == 60


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        (b"", set()),
        (b"null", set()),
        (b'""', set()),
        (b"[]", set()),
        (b"{}", set()),
        (b'{"batchItemFailures":null}', set()),
        (b'{"batchItemFailures":[]}', set()),
        (b'{"batchItemFailures":[{"itemIdentifier":"2"},{"itemIdentifier":"1"}]}', {"1", "2"}),
    ],
)
def test_reports_name_the_items_that_failed(answer: bytes, failures: set[str]) -> None:
    assert reported_failures(answer, {"1", "2", "3"}) == failures


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b'"text"',
        b'{"batchItemFailures":"1"}',
        b'{"batchItemFailures":["1"]}',
        b'{"batchItemFailures":[{"itemIdentifier":""}]}',
        b'{"batchItemFailures":[{"itemIdentifier":null}]}',
        b'{"batchItemFailures":[{"identifier":"1"}]}',
        b'{"batchItemFailures":[{"itemIdentifier":"9"}]}',
    ],
)
def test_a_report_that_makes_no_sense_fails_the_batch(answer: bytes) -> None:
    with pytest.raises(BadReport):
        reported_failures(answer, {"1", "2", "3"})
