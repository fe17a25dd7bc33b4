"""What leaves a mapping's shard: runs of its function on batches, and reports of what is given up."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hearth.errors import HearthError
from hearth.model.invocation import InvocationResult, Outcome
from hearth.model.mapping import EventSourceMapping
from pollers.mapping_target import NO_FUNCTION, MappingTarget, new_request_id
from pollers.streams.event import event_of
from pollers.streams.insisting import insist
from pollers.streams.lane import Ran
from pollers.streams.outcome import Work
from pollers.streams.reports import Reports
from pollers.streams.source import SourceRecord, StreamSource
from pollers.streams.windows import OpenWindow, window_members

log = logging.getLogger(__name__)


class BatchRuns:
    def __init__(
        self,
        mapping: EventSourceMapping,
        shard_id: str,
        source: StreamSource,
        target: MappingTarget,
        reports: Reports,
        *,
        most_bytes: int,
    ) -> None:
        """most_bytes: of an event."""
        self._mapping = mapping
        self._shard_id = shard_id
        self._source = source
        self._target = target
        self._reports = reports
        self._most_bytes = most_bytes
        #: what closed the records of the last event
        self._tail = source.tail("")

    async def invoke(
        self, records: Sequence[SourceRecord], window: OpenWindow | None, length_s: int, *, final: bool, early: bool
    ) -> Ran:
        """length_s: of the window. Raises nothing but cancellation: what went wrong is the outcome."""
        request_id = new_request_id()
        try:
            runnable = await self._target.find()
        except HearthError as exc:
            return Ran(request_id, InvocationResult(Outcome.UNAVAILABLE, detail=str(exc)))
        if runnable is None:
            return Ran(request_id, InvocationResult(Outcome.UNAVAILABLE, detail=NO_FUNCTION))
        members = b"}"
        if window is not None:
            arn = self._mapping.source_arn
            members = window_members(window, length_s, self._shard_id, arn, final=final, early=early)
        self._tail = self._source.tail(runnable.version.role)
        payload = event_of([record.head for record in records], self._tail, members)
        if len(payload) > self._most_bytes and len(records) == 1:
            return Ran(request_id, InvocationResult(Outcome.FUNCTION_ERROR), too_large=True)
        return Ran(request_id, await self._target.run(runnable, payload, request_id))

    async def report(self, work: Work, condition: str, ran: Ran | None, *, reported: bool) -> None:
        """Returns when the report will reach its destination, or there is none."""
        where = {"mapping": self._mapping.uuid, "shard_id": self._shard_id}
        log.warning(
            "records given up",
            extra={
                "action": "records_given_up",
                "condition": condition,
                "records": len(work.records),
                "first": work.records[0].sequence_number,
                **where,
            },
        )
        await insist(
            "report not sent",
            lambda: self._reports.send(
                work, condition, ran, reported=reported, shard_id=self._shard_id, source=self._source, tail=self._tail
            ),
            where,
        )
