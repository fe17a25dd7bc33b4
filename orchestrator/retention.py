"""Closed executions: their histories move to files after a while, and in the end they are forgotten.

Whoever holds the first shard sees to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from hearth.errors import HearthError
from hearth.platform_clock import PlatformClock
from hearth.settings import Settings
from hearth.store.executions import ExecutionTable
from hearth.store.histories import Histories

log = logging.getLogger(__name__)

#: real time between two looks; a jump of the clock is followed at once
LOOK_EVERY_S = 60.0
#: forgotten before others have their turn
_BATCH = 200
_DAY_MS = 86_400_000


class Retention:
    """`run` is its life, in a task of its owner's."""

    def __init__(self, table: ExecutionTable, histories: Histories, clock: PlatformClock, settings: Settings) -> None:
        self._table = table
        self._histories = histories
        self._clock = clock
        self._kept_ms = int(settings.workflow_retention_days * _DAY_MS)
        self._live_ms = int(settings.workflow_archive_seconds * 1000)
        self._now = asyncio.Event()
        clock.on_jump.append(self._now.set)
        #: whether this process is the one that sees to it
        self.ours = False

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._now.wait()
            self._now.clear()
            if not self.ours:
                continue
            try:
                await self._forget()
                await self._archive()
            except HearthError as exc:
                log.warning("executions not forgotten", extra={"action": "not_forgotten", "error": str(exc)})

    async def _forget(self) -> None:
        before_ms = self._clock.now_ms() - self._kept_ms
        while arns := await self._table.closed_before(before_ms, _BATCH):
            for arn in arns:
                await self._histories.forget(arn)
                await self._table.forget(arn)
            log.info("executions forgotten", extra={"action": "executions_forgotten", "count": len(arns)})

    async def _archive(self) -> None:
        before_ms = self._clock.now_ms() - self._live_ms
        while arns := await self._histories.closed_before(before_ms, _BATCH):
            moved = [await self._histories.archive(arn) for arn in arns]
            log.info("histories moved", extra={"action": "histories_moved", "count": sum(moved)})
            if not any(moved):  # others redrive them at this moment
                return
