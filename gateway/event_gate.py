"""Events give way to pushes at the door: while this process has pushes on the road, it stores few events at once.

Gateway, broker, worker and sandboxes are a handful of processes that share a host's cores, and while those are busy a
push takes longer with every request that is under way beside it. Its caller waits; that of an event waits for the 202
only, and one who sends without pause is slowed down by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

#: there are pushes for this long after one was seen under way, seconds: a client that sends its next one leaves a gap
HELD_S = 0.05
#: after an event the next one that waits is let in later, by this part of the time that it took
REST = 0.5
#: however long a broker took, seconds
MOST_REST_S = 0.02


class EventGate:
    """`pushing`: whether a push is under way. at_once: events that are stored at once beside pushes; all without."""

    def __init__(
        self,
        pushing: Callable[[], bool],
        at_once: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pushing = pushing
        self._at_once = at_once
        self._monotonic = monotonic
        self._until_s = 0.0
        self._passing = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """In the order of arrival. Nobody waits unless somebody passes, who lets the next one in after a rest."""
        if self._waiting or (self._passing >= self._at_once and self._beside_pushes()):
            await self._turn()
        else:
            self._passing += 1
        began_s = self._monotonic()
        try:
            yield
        finally:
            if self._waiting and self._beside_pushes():
                rest_s = min(REST * (self._monotonic() - began_s), MOST_REST_S)
                asyncio.get_running_loop().call_later(rest_s, self._leave)
            else:
                self._leave()

    def _leave(self) -> None:
        self._passing -= 1
        self._let_in()

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # for as long as those before it are being stored, each with a deadline of its own
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was let in and has gone
                self._passing -= 1
                self._let_in()
            raise

    def _beside_pushes(self) -> bool:
        now_s = self._monotonic()
        if self._pushing():
            self._until_s = now_s + HELD_S
        return now_s < self._until_s

    def _let_in(self) -> None:
        while self._waiting and (self._passing < self._at_once or not self._beside_pushes()):
            turn = self._waiting.popleft()
            if not turn.done():
                self._passing += 1
                turn.set_result(None)
