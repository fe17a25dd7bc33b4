"""A worker's stock of stem cells: filled in the background, taken by cold starts, given up when memory is short.

A start never waits for a cell: if none is ready, it is a full one. Cells boot one at a time and only while nothing else
starts, for what they take of the processors is missing there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from hearth.errors import HearthError
from hearth.limits import AWS_LIMITS, Limits
from workers.sandbox.cell_demand import KINDS, Demand, host_is_short
from workers.sandbox.stem_cell import CellKind, StemCell, boot
from workers.sandbox.supervisor import Supervisor

log = logging.getLogger(__name__)

#: after so long without a cold start cells boot
_QUIET_S = 0.05
#: how often the stock is looked at when nothing is taken
_PERIOD_S = 5.0


class StemCells:
    """Its `keep` runs for the life of the worker; `close` afterwards."""

    def __init__(
        self, supervisor: Supervisor, *, base: int, first: Iterable[CellKind] = (), limits: Limits = AWS_LIMITS
    ) -> None:
        """base: how many of a kind in use are kept ready; 0: none. first: one each of these at once."""
        self._supervisor = supervisor
        self._limits = limits
        self._base = base if supervisor.mode.namespaces else 0
        self._demand: dict[CellKind, Demand] = {kind: Demand(first=True) for kind in first}
        self._ready: dict[CellKind, deque[StemCell]] = {}
        self._changed = asyncio.Event()
        self._last_start_s = 0.0

    def ready(self, kind: CellKind) -> list[StemCell]:
        return [cell for cell in self._ready.get(kind, ()) if cell.lives]

    def count(self) -> int:
        """Ready ones of all kinds."""
        return sum(len(self.ready(kind)) for kind in self._ready)

    def take(self, kind: CellKind) -> StemCell | None:
        """One that lives, now the caller's; None: there is none ready."""
        if not self._base:
            return None
        now_s = self._last_start_s = time.monotonic()
        if kind not in self._demand:
            self._make_room()
        self._demand.setdefault(kind, Demand()).asked(now_s)
        self._changed.set()
        for cell in self.ready(kind):
            self._ready[kind].remove(cell)
            return cell
        return None

    async def keep(self) -> None:
        """Fill it, for ever."""
        while self._base:
            self._changed.clear()
            if not await self._boot_one():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PERIOD_S):
                        await self._changed.wait()
            await self._quiet()

    async def close(self) -> None:
        for kind in list(self._ready):
            await self._reduce(kind, 0)

    async def _quiet(self) -> None:
        """Wait until no cold start has come for a moment."""
        # An event would have to be set and cleared by each of them.
        while self._last_start_s + _QUIET_S > time.monotonic():  # noqa: ASYNC110
            await asyncio.sleep(_QUIET_S)

    # --- private --------------------------------------------------------------------------------------------
    async def _boot_one(self) -> bool:
        """End what is too many, boot what is missing most; False: nothing is missing."""
        short = host_is_short(await asyncio.to_thread(Path("/proc/meminfo").read_text))
        now_s = time.monotonic()
        most, missing, demand = 0, None, Demand()
        for kind in self._demand.keys() | self._ready.keys():
            asked = self._demand.get(kind, Demand())  # kinds come and go while cells end
            wanted = 0 if short else asked.wanted(self._base, now_s)
            await self._reduce(kind, wanted)
            lacking = wanted - len(self.ready(kind))
            if lacking > most and asked.not_before_s <= now_s:
                most, missing, demand = lacking, kind, asked
        if missing is None:
            return False
        try:
            cell = await boot(self._supervisor, missing, self._limits)
        except HearthError as exc:
            demand.failed(time.monotonic())
            fields = {"action": "cell_failed", "command": " ".join(missing.command), "reason": str(exc)}
            log.warning("no stem cell", extra=fields)
            return True
        demand.failures = 0
        self._ready.setdefault(missing, deque()).append(cell)
        return True

    async def _reduce(self, kind: CellKind, wanted: int) -> None:
        """End those that are too many, and what is left of those that have died."""
        # One after the other, looked for anew: while one ends, others are taken.
        while (cell := self._surplus(kind, wanted)) is not None:
            self._ready[kind].remove(cell)
            await cell.process.stop()
        if not self._ready.get(kind, True):
            del self._ready[kind]

    def _surplus(self, kind: CellKind, wanted: int) -> StemCell | None:
        cells = self._ready.get(kind, deque())
        dead = next((cell for cell in cells if not cell.lives), None)
        return dead or (cells[-1] if len(cells) > wanted else None)

    def _make_room(self) -> None:
        """For one more kind that a function brings: those are forgotten that nobody asks for any more."""
        brought = sorted((one for one in self._demand.items() if not one[1].first), key=lambda one: one[1].asked_s[-1])
        for kind, _ in brought[: max(0, len(brought) - KINDS + 1)]:
            del self._demand[kind]
