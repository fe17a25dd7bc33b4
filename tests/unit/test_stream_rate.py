"""The bandwidth of streamed responses."""

from __future__ import annotations

from workers.stream_rate import BURST_BYTES, STEP_S, StreamRate

_RATE = 2 << 20


def test_the_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    rate, now_s, sent = StreamRate(_RATE, 100.0), 100.0, 0
    while sent < BURST_BYTES + 4 * _RATE:
        now_s += rate.take(64 << 10, now_s)
        sent += 64 << 10
    assert 4.0 - STEP_S <= now_s - 100.0 <= 4.0 + STEP_S


def test_a_pause_fills_the_bucket_but_not_beyond_the_burst() -> None:
    rate = StreamRate(_RATE, 0.0)
    assert rate.take(BURST_BYTES, 0.0) > 0
    assert rate.take(BURST_BYTES - 1, 60.0) == 0.0
    assert rate.take(1, 60.0) > 0


def test_more_than_is_left_goes_whole_and_is_owed() -> None:
    rate = StreamRate(_RATE, 0.0)
    assert 2.0 < rate.take(BURST_BYTES + 2 * _RATE, 0.0) <= 2.0 + STEP_S


def test_no_limit_is_none() -> None:
    rate = StreamRate(0, 0.0)
    assert {rate.take(1 << 30, 0.0) for _ in range(5)} == {0.0}
