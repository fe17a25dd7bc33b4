"""Watchdog: one deadline that moves with every invocation, and hardly ever touches the loop's timers.

The timer is not moved with the deadline: when it fires early it sets itself again. So a warm invocation costs two
assignments, not a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Watchdog:
    def __init__(self, bark: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._bark = bark
        self._deadline_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, deadline_s: float) -> None:
        """Loop time."""
        self._deadline_s = deadline_s
        if self._timer is not None and self._timer.when() > deadline_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline_s, self._fire)

    def clear(self) -> None:
        self._deadline_s = None

    def close(self) -> None:
        self.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._deadline_s is None:
            return
        if self._loop.time() < self._deadline_s:
            self._timer = self._loop.call_at(self._deadline_s, self._fire)
        else:
            self._deadline_s = None
            self._bark()
