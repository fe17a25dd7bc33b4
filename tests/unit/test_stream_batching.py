"""When records of a stream become a batch."""

from __future__ import annotations

from pollers.streams.batching import Batcher, BatchLimits, lane_of
from pollers.streams.source import SourceRecord
from pollers.streams.windows import start_of


def a_record(number: int, *, size: int = 10, at_ms: int = 0) -> SourceRecord:
    return SourceRecord(number, str(number), b"k", at_ms, b"x" * size)


def numbers(batch: list[SourceRecord] | None) -> list[int] | None:
    return None if batch is None else [record.order for record in batch]


def a_batcher(records: int = 3, window_s: float = 0.0, most_bytes: int = 1000, count: int = 0) -> Batcher:
    batcher = Batcher(BatchLimits(records, window_s, most_bytes))
    for number in range(count):
        batcher.add(a_record(number), 0.0)
    return batcher


def test_without_window_whatever_waits_is_a_batch_up_to_its_size() -> None:
    batcher = a_batcher(count=5)
    assert numbers(batcher.take(0.0)) == [0, 1, 2]
    assert numbers(batcher.take(0.0)) == [3, 4]
    assert batcher.take(0.0) is None
    assert (len(batcher), batcher.bytes, batcher.first) == (0, 0, None)


def test_a_window_holds_a_batch_back_until_it_is_over_or_the_batch_is_full() -> None:
    batcher = a_batcher(window_s=5.0, count=2)
    assert batcher.take(1.0) is None
    assert batcher.due_s() == 5.0
    assert numbers(batcher.take(5.0)) == [0, 1]
    for number in range(4):
        batcher.add(a_record(number), 7.0)
    assert numbers(batcher.take(7.0)) == [0, 1, 2]
    assert batcher.take(7.0) is None
    assert batcher.due_s() == 12.0
    assert numbers(batcher.take(7.0, last=True)) == [3]


def test_a_batch_holds_no_more_bytes_than_an_event_may_but_one_record_in_any_case() -> None:
    batcher = Batcher(BatchLimits(100, 60.0, 100, each_bytes=10))
    for size in (30, 30, 30, 500, 10):
        batcher.add(a_record(0, size=size), 0.0)
    sizes = [len(one.head) for one in batcher.take(0.0) or []]
    assert sizes == [30, 30]
    assert [len(one.head) for one in batcher.take(0.0) or []] == [30]
    assert [len(one.head) for one in batcher.take(0.0) or []] == [500]
    assert batcher.take(0.0) is None


def test_a_batch_never_spans_two_tumbling_windows() -> None:
    batcher = Batcher(BatchLimits(100, 60.0, 1000), lambda at_ms: start_of(at_ms, 10))
    for number, at_ms in enumerate((1_000, 9_999, 10_000, 19_000, 20_000)):
        batcher.add(a_record(number, at_ms=at_ms), 0.0)
    assert [numbers(batcher.take(0.0)) for _ in range(3)] == [[0, 1], [2, 3], None]
    assert numbers(batcher.take(0.0, last=True)) == [4]


def test_a_key_decides_its_lane() -> None:
    lanes = {key: lane_of(key, 4) for key in (f"key-{number}".encode() for number in range(200))}
    assert set(lanes.values()) == {0, 1, 2, 3}
    assert lanes == {key: lane_of(key, 4) for key in lanes}
    assert lane_of(b"key-1", 1) == 0
