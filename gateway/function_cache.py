"""Functions near at hand: the Invoke path finds a qualifier's version without asking `state`.

An entry may be used while the cache's lease holds (`gateway.epoch_lease`). Changes are also announced on the control
bus, so a gateway usually knows within milliseconds; it acknowledges them, and the updating gateway waits for that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.epoch_lease import EpochLease
from hearth.arn import LATEST
from hearth.store.functions import Function, FunctionRecord, FunctionTable

#: beyond this many functions the oldest entries make room
MAX_ENTRIES = 10_000

FunctionKey = tuple[str, str, str]


@dataclass(slots=True)
class _Entry:
    function: Function
    #: published versions that were asked for
    versions: dict[str, FunctionRecord] = field(default_factory=dict)


class FunctionCache:
    """(account, region, name) -> function and its versions."""

    def __init__(
        self,
        table: FunctionTable,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """draw: uniform in [0, 1); decides between the versions of a weighted alias."""
        self._table = table
        self.lease = EpochLease("functions", table.epoch, self._on_change, monotonic=monotonic)
        self._draw = draw
        self._entries: dict[FunctionKey, _Entry] = {}
        #: raised by every drop: a read that began before it must not be kept
        self._generation = 0

    async def get(self, account: str, region: str, name: str, qualifier: str | None = None) -> FunctionRecord | None:
        """The version that serves this request, at most a lease old; None if there is none. Raises Unavailable."""
        found = await self.resolve(account, region, name, qualifier)
        return found[1] if found else None

    async def resolve(
        self, account: str, region: str, name: str, qualifier: str | None = None
    ) -> tuple[Function, FunctionRecord] | None:
        """The function with the records beside it, and the version that the qualifier means for this request."""
        generation = self._generation
        entry = await self._entry((account, region, name))
        if entry is None:
            return None
        function = entry.function
        number = function.target(qualifier, self._draw())
        if number == LATEST:
            return function, function.latest
        if number is None:
            return None
        record = entry.versions.get(number)
        if record is None:
            record = await self._table.get(account, region, name, number)
            if record is not None and record.settled and generation == self._generation:
                entry.versions[number] = record
        return (function, record) if record else None

    async def function(self, account: str, region: str, name: str) -> Function | None:
        """At most a lease old."""
        entry = await self._entry((account, region, name))
        return entry.function if entry else None

    async def _entry(self, key: FunctionKey) -> _Entry | None:
        if self.lease.holds:
            entry = self._entries.get(key)
            if entry is not None:
                return entry
        generation = self._generation
        function = await self._table.function(*key)
        if function is None:
            return None
        entry = _Entry(function)
        if function.latest.settled and generation == self._generation:
            if len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = entry
        return entry

    def drop(self, account: str, region: str, name: str) -> None:
        self._generation += 1
        self._entries.pop((account, region, name), None)

    def drop_all(self) -> None:
        self._generation += 1
        self._entries.clear()

    async def _on_change(self) -> None:
        self.drop_all()
