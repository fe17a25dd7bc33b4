"""Time, as a value: deadlines made once at the edge and passed down; epoch milliseconds on the wire."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime


def now_ms() -> int:
    """Wall clock, epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock after which nobody waits any more."""

    at_s: float
    budget_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds, seconds)

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.at_s - time.monotonic())

    def scope(self) -> asyncio.Timeout:
        """`async with deadline.scope():` raises TimeoutError when the deadline passes."""
        return asyncio.timeout(self.remaining_s)

    def epoch_ms(self) -> int:
        """The deadline as it goes on the wire."""
        return now_ms() + int(self.remaining_s * 1000)


def iso_time(t_ms: int) -> str:
    """YYYY-MM-DDTHH:MM:SS.mmmZ"""
    moment = datetime.fromtimestamp(t_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{t_ms % 1000:03d}Z"
