"""What becomes of a batch after a run, or of records that have grown too old: done, again, halved, or given up. Pure.

Only runs that failed count as attempts; what the platform could not carry out (throttled, no worker, lost) does not.
What is left after progress has been made is a batch of its own with a count of its own, and so is a half.
Source: Lambda Developer Guide, Kinesis and DynamoDB error handling; ages and counts as recorded from AWS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pollers.streams.source import SourceRecord

RETRIES_EXHAUSTED, AGE_EXCEEDED = "RetryAttemptsExhausted", "RecordAgeExceeded"
LONGEST_BACKOFF_S = 60.0
WITHOUT_END = -1


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """max_retries WITHOUT_END: until the records expire. max_age_ms: also what the stream's retention allows."""

    max_retries: int = WITHOUT_END
    max_age_ms: int = 86_400_000
    bisect: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """A batch, or what is left of one. failures: runs that count; runs: all of it."""

    records: Sequence[SourceRecord]
    failures: int = 0
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """done: so many of the leading records are through. again: what is to be run next, in order. given_up: records
    (after the done ones) that are reported as failed and left behind."""

    done: int = 0
    again: tuple[Work, ...] = ()
    given_up: Work | None = field(default=None)
    condition: str = ""
    #: before the next run
    backs_off: bool = False


def succeeded(work: Work) -> Step:
    return Step(done=len(work.records))


def failed(work: Work, policy: FailurePolicy, first_failed: int = 0) -> Step:
    """After a run that failed. first_failed: index of the lowest record that did; those before it are through."""
    if first_failed:
        return Step(done=first_failed, again=(Work(work.records[first_failed:]),), backs_off=not policy.bisect)
    if policy.bisect and len(work.records) > 1:
        middle = len(work.records) // 2
        return Step(again=(Work(work.records[:middle]), Work(work.records[middle:])))
    left = Work(work.records, work.failures + 1, work.runs + 1)
    if policy.max_retries != WITHOUT_END and left.failures > policy.max_retries:
        return Step(given_up=left, condition=RETRIES_EXHAUSTED)
    return Step(again=(left,), backs_off=True)


def too_old(work: Work, policy: FailurePolicy, now_ms: int) -> Step | None:
    """Before each run: the records that have expired are given up, the others go on. None: none has."""
    records = work.records
    horizon_ms = now_ms - policy.max_age_ms
    count = next((index for index, one in enumerate(records) if one.arrival_ms >= horizon_ms), len(records))
    if not count:
        return None
    rest = (Work(records[count:], work.failures, work.runs),) if count < len(records) else ()
    return Step(again=rest, given_up=Work(records[:count], work.failures, work.runs), condition=AGE_EXCEEDED)


def backoff_s(setbacks: int, base_s: float) -> float:
    """After so many runs in a row that came to nothing (from 1 on). AWS, as recorded, ran a failing batch eight times
    within 60 s: a quarter of a second, then twice that, ..., at most a minute."""
    return min(LONGEST_BACKOFF_S, base_s * 2 ** min(setbacks - 1, 16))
