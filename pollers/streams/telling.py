"""What people see of a mapping's shard: how far it is, its last error, and the mapping's LastProcessingResult.

Told about once a second, and only when it has changed; none of it decides anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.mapping import FUNCTION_FAILED, NO_FUNCTION, OK, EventSourceMapping, Progress
from hearth.store.mappings import MappingTable
from pollers import mapping_target

log = logging.getLogger(__name__)

TELL_S = 1.0


class Telling:
    def __init__(self, mappings: MappingTable, mapping: EventSourceMapping, shard_id: str) -> None:
        self._mappings = mappings
        self._mapping = mapping
        self._shard_id = shard_id
        self._error, self._result = "", ""
        self._told: tuple[str, str, int] | None = None
        self._noted = ""

    def ended(self, *, well: bool, why: str = "") -> None:
        """A run has ended."""
        if well:
            self._error, self._result = "", OK
        else:
            self._error = why or "the function failed"
            self._result = NO_FUNCTION if why == mapping_target.NO_FUNCTION else FUNCTION_FAILED

    def problem(self, text: str) -> None:
        self._error = self._result = text

    async def run(self, oldest_ms: Callable[[], int], position: Callable[[], str]) -> None:
        while True:
            await self.tell(oldest_ms(), position())
            await asyncio.sleep(TELL_S)

    async def tell(self, oldest_ms: int, position: str) -> None:
        """oldest_ms: arrival of the first record that is not done, 0 if there is none."""
        now = (self._error, position, oldest_ms)
        try:
            if self._result != self._noted:
                result = self._result
                await self._mappings.note_result(self._mapping, result)
                self._noted = result
            if now != self._told:
                progress = Progress(position=position, oldest_at_ms=oldest_ms, error=self._error, at_ms=now_ms())
                await self._mappings.report(self._mapping, self._shard_id, progress)
                self._told = now
        except HearthError as exc:  # the next time
            log.debug("progress not told", extra={"action": "progress_not_told", "error": str(exc)})
