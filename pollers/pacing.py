"""Events give way to pushes on the road: few of them are at its start at once.

An event that runs briefly is on the road until its answer; a function that runs for long leaves the road free after the
moment that its invocation needs to reach it. So an event has a place for that moment at most: quick functions run one
after the other at the pace of the road, which is slower when others use it, and slow ones side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

#: in which an invocation has reached a warm function, seconds, on a busy host
MOMENT_S = 0.01


class Pacing:
    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for a place: no longer than a moment for each one before it."""
        await self._places.acquire()
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._places.release()

        timer = asyncio.get_running_loop().call_later(MOMENT_S, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()
