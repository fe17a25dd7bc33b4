"""Front doors near at hand: a warm request finds its API without asking `state`.

As with functions (`gateway.function_cache`), what is kept is believed while a lease holds, and changes come over the
control bus besides.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.epoch_lease import EpochLease

#: beyond this many the oldest make room
MAX_ENTRIES = 10_000

T = TypeVar("T")


class DoorCache(Generic[T]):
    """id -> what `load` made of it."""

    def __init__(
        self,
        of: str,
        load: Callable[[str, T | None], Awaitable[T | None]],
        epoch: Callable[[], Awaitable[int]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """of: what is kept, for the log.

        load(id, kept): None if there is none, which is not kept; `kept`, if that still is what it would load.
        So a door that has not changed keeps what it has learnt, its authorizers' answers, when another one has.
        Raises Unavailable.
        """
        self._load = load
        self.lease = EpochLease(of, epoch, self._on_change, monotonic=monotonic)
        #: with the generation that it was loaded or looked up in
        self._entries: dict[str, tuple[int, T]] = {}
        #: raised by every change: what was loaded before is looked up before it is believed again
        self._generation = 0

    async def get(self, door_id: str) -> T | None:
        """Raises Unavailable."""
        generation, kept = self._entries.get(door_id, (-1, None))
        if kept is not None and generation == self._generation and self.lease.holds:
            return kept
        generation = self._generation
        loaded = await self._load(door_id, kept)
        if loaded is None:
            self._entries.pop(door_id, None)
        elif self._entries.get(door_id, (-1, None))[0] <= generation:  # of two that were loaded at once, the later
            # even if something has changed meanwhile: it is looked up again then, and keeps what it has learnt
            if len(self._entries) >= MAX_ENTRIES and door_id not in self._entries:
                del self._entries[next(iter(self._entries))]
            self._entries[door_id] = (generation, loaded)
        return loaded

    def changed(self) -> None:
        """Some door has changed."""
        self._generation += 1

    async def _on_change(self) -> None:
        self.changed()
