"""Watchdog: one deadline that moves with every invocation, and hardly ever touches the loop's timers.

The timer is not moved with the deadline: when it fires early it sets itself again. So a warm invocation costs two
assignments, not a timer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Watchdog:
    def __init__(self, bark: Callable[[], None]) -> None:
        self._bark = bark
        self._deadline_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = 0.0

    def set(self, deadline_s: float) -> None:
        """Monotonic time, not the loop's: uvloop's clock is cached and counts whole milliseconds."""
        self._deadline_s = deadline_s
        if self._timer is not None and self._timer_at_s > deadline_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._arm(deadline_s)

    def clear(self) -> None:
        self._deadline_s = None

    def close(self) -> None:
        self.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, deadline_s: float) -> None:
        self._timer_at_s = deadline_s
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, deadline_s - time.monotonic()), self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._deadline_s is None:
            return
        if time.monotonic() < self._deadline_s:
            self._arm(self._deadline_s)
        else:
            self._deadline_s = None
            self._bark()
