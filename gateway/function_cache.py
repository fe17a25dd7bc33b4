"""Function records near at hand: the Invoke path reads them without asking `state`.

An entry may be used while the cache's lease holds: a task reads the epoch that every change raises, and one second
after the last successful read the cache is no longer believed. Changes are also announced on the control bus, so a
gateway usually knows within milliseconds; it acknowledges them, and the updating gateway waits for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from hearth.errors import HearthError
from hearth.store.functions import FunctionRecord, FunctionTable

log = logging.getLogger(__name__)

#: what is kept is believed this long after the epoch was last read
LEASE_S = 1.0
READ_EPOCH_EVERY_S = 0.5
#: beyond this many functions the oldest entries make room
MAX_ENTRIES = 10_000

FunctionKey = tuple[str, str, str]


class FunctionCache:
    """(account, region, name) -> record."""

    def __init__(self, table: FunctionTable, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._monotonic = monotonic
        self._entries: dict[FunctionKey, FunctionRecord] = {}
        self._believed_until_s = 0.0
        self._epoch = -1
        #: raised by every drop: a read that began before it must not be kept
        self._generation = 0

    async def get(self, account: str, region: str, name: str) -> FunctionRecord | None:
        """The record, at most a lease old; None if there is no such function. Raises Unavailable."""
        key = (account, region, name)
        if self._monotonic() < self._believed_until_s:
            entry = self._entries.get(key)
            if entry is not None:
                return entry
        generation = self._generation
        record = await self._table.get(account, region, name)
        if record is not None and record.settled and generation == self._generation:
            if len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = record
        return record

    def drop(self, account: str, region: str, name: str) -> None:
        self._generation += 1
        self._entries.pop((account, region, name), None)

    def drop_all(self) -> None:
        self._generation += 1
        self._entries.clear()

    async def renew(self) -> None:
        """Read the epoch once: extends the lease, and drops everything if something has changed."""
        asked_at_s = self._monotonic()
        epoch = await self._table.epoch()
        if epoch != self._epoch:
            self._epoch = epoch
            self.drop_all()
        self._believed_until_s = asked_at_s + LEASE_S

    async def keep_renewed(self) -> None:
        """Runs for the life of the process, in a task of its owner's."""
        while True:
            try:
                async with asyncio.timeout(LEASE_S):
                    await self.renew()
            except (HearthError, TimeoutError) as exc:
                log.warning("function cache not renewed", extra={"action": "cache_not_renewed", "error": str(exc)})
            await asyncio.sleep(READ_EPOCH_EVERY_S)
