"""The clock that workflows wait by."""

from __future__ import annotations

from hearth.platform_clock import PlatformClock

START_MS = 1_000_000


class RealTime:
    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


def test_a_scaled_clock_runs_faster_from_where_it_started() -> None:
    real = RealTime()
    clock = PlatformClock(60, real)
    assert clock.now_ms() == START_MS
    real.ms += 1000
    assert clock.now_ms() == START_MS + 60_000
    assert clock.real_s_until(clock.now_ms() + 120_000) == 2
    assert clock.real_s_until(START_MS) == 0


def test_without_a_scale_it_is_real_time() -> None:
    real = RealTime()
    clock = PlatformClock(1, real)
    real.ms += 5
    assert clock.now_ms() == real.ms
    assert clock.real_s_until(real.ms + 1500) == 1.5
