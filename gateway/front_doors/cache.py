"""Front doors near at hand: a warm request finds its API without asking `state`.

As with functions (`gateway.function_cache`), what is kept is believed for a lease of one second after the epoch that
every change raises was last read, and changes come over the control bus besides.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from hearth.errors import HearthError

log = logging.getLogger(__name__)

LEASE_S = 1.0
READ_EPOCH_EVERY_S = 0.5
#: beyond this many the oldest make room
MAX_ENTRIES = 10_000

T = TypeVar("T")


class DoorCache(Generic[T]):
    """id -> what `load` made of it."""

    def __init__(
        self,
        load: Callable[[str, T | None], Awaitable[T | None]],
        epoch: Callable[[], Awaitable[int]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """load(id, kept): None if there is none, which is not kept; `kept`, if that still is what it would load.

        So a door that has not changed keeps what it has learnt, its authorizers' answers, when another one has.
        Raises Unavailable.
        """
        self._load = load
        self._read_epoch = epoch
        self._monotonic = monotonic
        #: with the generation that it was loaded or looked up in
        self._entries: dict[str, tuple[int, T]] = {}
        self._believed_until_s = 0.0
        self._epoch = -1
        #: raised by every change: what was loaded before is looked up before it is believed again
        self._generation = 0

    async def get(self, door_id: str) -> T | None:
        """Raises Unavailable."""
        generation, kept = self._entries.get(door_id, (-1, None))
        if kept is not None and generation == self._generation and self._monotonic() < self._believed_until_s:
            return kept
        generation = self._generation
        loaded = await self._load(door_id, kept)
        if loaded is None:
            self._entries.pop(door_id, None)
        elif generation == self._generation:
            if len(self._entries) >= MAX_ENTRIES and door_id not in self._entries:
                del self._entries[next(iter(self._entries))]
            self._entries[door_id] = (generation, loaded)
        return loaded

    def changed(self) -> None:
        """Some door has changed."""
        self._generation += 1

    async def renew(self) -> None:
        """Read the epoch once: extends the lease; if something has changed, every door is looked up again."""
        asked_at_s = self._monotonic()
        epoch = await self._read_epoch()
        if epoch != self._epoch:
            self._epoch = epoch
            self.changed()
        self._believed_until_s = asked_at_s + LEASE_S

    async def keep_renewed(self) -> None:
        """Runs for the life of the process, in a task of its owner's."""
        while True:
            try:
                async with asyncio.timeout(LEASE_S):
                    await self.renew()
            except (HearthError, TimeoutError) as exc:
                log.warning("front doors not renewed", extra={"action": "doors_not_renewed", "error": str(exc)})
            await asyncio.sleep(READ_EPOCH_EVERY_S)
