"""What became of a queue's batches, for people: LastProcessingResult, the unit's progress, the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.invocation import InvocationResult, Outcome
from hearth.model.mapping import FUNCTION_FAILED, NO_FUNCTION, OK, Progress, Unit
from hearth.store.mappings import MappingTable
from pollers import mapping_target

log = logging.getLogger(__name__)


class Results:
    """Of one unit. Only what differs from the result before is said."""

    def __init__(self, table: MappingTable, unit: Unit) -> None:
        self._table = table
        self._unit = unit
        self._said = ""

    async def done(self) -> None:
        await self._say(OK)

    async def failed(self, result: InvocationResult) -> None:
        """An invocation that did not end well."""
        why = result.detail or result.outcome.value
        if result.outcome is Outcome.FUNCTION_ERROR:
            await self._say(FUNCTION_FAILED, why)
        else:
            await self._say(NO_FUNCTION if result.detail == mapping_target.NO_FUNCTION else f"PROBLEM: {why}", why)

    async def badly_reported(self, why: str) -> None:
        """The function answered, and the answer makes the whole batch fail."""
        await self._say(FUNCTION_FAILED, why)

    async def problem(self, error: HearthError) -> None:
        """The source is not to be read."""
        await self._say(f"PROBLEM: {error}", str(error))

    async def _say(self, result: str, error: str = "") -> None:
        if result == self._said:
            return
        self._said = result
        if error:
            log.warning(
                "queue's batch failed",
                extra={
                    "action": "queue_batch_failed",
                    "mapping": self._unit.mapping.uuid,
                    "result": result,
                    "error": error,
                },
            )
        with contextlib.suppress(HearthError):  # what runs does not depend on it
            await self._table.note_result(self._unit.mapping, result)
            await self._table.report(self._unit.mapping, self._unit.name, Progress(error=error, at_ms=now_ms()))


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Cut short by `stopping`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
