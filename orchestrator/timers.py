"""A shard's timers: they lie in `state`; here is only known when to look for them next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hearth.errors import HearthError
from hearth.platform_clock import PlatformClock

log = logging.getLogger(__name__)

#: timers that somebody else has set, or that were handed on and not yet taken back, are looked for this often
LOOK_EVERY_S = 5.0
#: what was handed on and is still there a moment later is being worked on
_PAUSE_S = 0.02


class Timers:
    """fire(now_ms): hands on what is due and says when the next is (platform epoch ms; None: there is none)."""

    def __init__(self, clock: PlatformClock, fire: Callable[[int], Awaitable[float | None]]) -> None:
        self._clock = clock
        self._fire = fire
        self._next_ms: float | None = None
        self._sooner = asyncio.Event()

    def set(self, due_ms: int) -> None:
        """One has been set: wake up in time for it."""
        if self._next_ms is None or due_ms < self._next_ms:
            self._next_ms = due_ms
            self._sooner.set()

    def look(self) -> None:
        """The clock has jumped, or the shard is new: look now."""
        self._next_ms = 0
        self._sooner.set()

    async def run(self) -> None:
        while True:
            wait_s = LOOK_EVERY_S
            if self._next_ms is not None:
                wait_s = min(wait_s, self._clock.real_s_until(self._next_ms))
            self._sooner.clear()
            if wait_s > 0:
                try:
                    async with asyncio.timeout(wait_s):
                        await self._sooner.wait()
                    continue
                except TimeoutError:
                    pass
            try:
                now = self._clock.now_ms()
                self._next_ms = await self._fire(now)
                if self._next_ms is not None and self._next_ms <= now:
                    await asyncio.sleep(_PAUSE_S)
            except HearthError as exc:
                log.warning("timers not read", extra={"action": "timers_not_read", "error": str(exc)})
                await asyncio.sleep(LOOK_EVERY_S / 5)
