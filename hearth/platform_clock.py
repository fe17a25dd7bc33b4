"""The platform's clock: what waits by it can be hurried or advanced, so that a year passes in a test.

Sandboxes, and the deadlines of calls on their way, keep real time; what waits for longer (workflows' timers, their
retention) asks this clock. All processes agree on it: where it started and how far it was advanced stand in `state`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.store import Store, clock

log = logging.getLogger(__name__)

#: how soon a process notices that the clock was advanced
READ_EVERY_S = 0.5


class PlatformClock:
    """Platform time = real time, its pace multiplied by `scale` since it was first used, plus what was advanced."""

    def __init__(self, scale: float, real_ms: Callable[[], int] = now_ms) -> None:
        self._scale = scale
        self._real_ms = real_ms
        self._anchor_ms = real_ms()
        self._advanced_ms = 0
        #: called when the clock has jumped
        self.on_jump: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        real = self._real_ms()
        if self._scale != 1:
            real = self._anchor_ms + int((real - self._anchor_ms) * self._scale)
        return real + self._advanced_ms

    @property
    def advanced_ms(self) -> int:
        """How far it was put forward."""
        return self._advanced_ms

    def real_s_until(self, at_ms: float) -> float:
        """Real seconds until the platform's clock shows `at_ms`; 0 if it is past."""
        return max(0.0, (at_ms - self.now_ms()) / 1000 / self._scale)

    async def read(self, state: Store) -> None:
        """Take over where the clock started and how far it was advanced. Raises Unavailable."""
        anchor_ms, advanced_ms = await clock.read(state, self._real_ms())
        jumped = advanced_ms != self._advanced_ms
        self._anchor_ms, self._advanced_ms = anchor_ms, advanced_ms
        if jumped:
            for hook in self.on_jump:
                hook()

    async def keep_read(self, state: Store) -> None:
        """Runs for the life of the process, in a task of its owner's."""
        while True:
            await asyncio.sleep(READ_EVERY_S)
            try:
                await self.read(state)
            except HearthError as exc:
                log.warning("clock not read", extra={"action": "clock_not_read", "error": str(exc)})
