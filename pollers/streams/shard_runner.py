"""A mapping's shard, while this poller holds its lease: read, shared out to lanes, invoked, checkpointed.

The reader goes ahead as far as the lanes have room. The checkpoint is the first record that is not through in any lane;
with it goes, in the same call, what the lanes carry. So nothing is skipped, and what a dead poller had begun is begun
again; a lane that was ahead of the checkpoint passes over what it had done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from hearth.errors import HearthError, TooManyRequests, Unavailable
from hearth.model.invocation import InvocationResult, Outcome
from hearth.model.mapping import EventSourceMapping
from hearth.store.checkpoints import FINISHED, Checkpoint, CheckpointRefused, CheckpointTable
from pollers.mapping_target import NO_FUNCTION, MappingTarget, new_request_id
from pollers.streams.batching import lane_of
from pollers.streams.checkpoint import Checkpointing, Fields
from pollers.streams.event import event_of
from pollers.streams.lane import Lane, LaneOptions, Ran
from pollers.streams.outcome import Work
from pollers.streams.reports import Reports
from pollers.streams.source import AT_TIMESTAMP, MOST_RECORDS, Page, SourceGone, SourceRecord, StreamSource
from pollers.streams.telling import Telling
from pollers.streams.windows import OpenWindow, window_members

log = logging.getLogger(__name__)

#: of one blocking read; pauses after one that failed, and when the stream is gone
WAIT_S, PAUSE_S, GONE_S = 4.0, 0.5, 5.0


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """most_bytes: of an event. matches None: no filter."""

    lanes: int
    lane: LaneOptions
    most_bytes: int
    matches: Callable[[dict[str, Any]], bool] | None = None

    @property
    def layout(self) -> str:
        """What the lanes' numbers and contents go by; empty if there is nothing to carry beside the position."""
        tumbling_s = self.lane.tumbling_s
        return f"{self.lanes}:{tumbling_s}" if self.lanes > 1 or tumbling_s else ""


@dataclass(frozen=True, slots=True)
class ShardParts:
    """What a run works with."""

    source: StreamSource
    checkpoints: CheckpointTable
    target: MappingTarget
    reports: Reports
    telling: Telling


class ShardRun:
    """`run` is its life; cancelled, what runs is left to the next holder."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        shard_id: str,
        token: int,
        stopping: asyncio.Event,
        options: ShardOptions,
        parts: ShardParts,
    ) -> None:
        """token: of the lease. stopping: begin nothing more, finish what runs."""
        self.ended = False
        self.stopping = stopping
        self.caught_up_ms = 0
        self._mapping = mapping
        self._shard_id = shard_id
        self._token = token
        self._options = options
        self._parts = parts
        self._source = parts.source
        self._lanes: list[Lane] = []
        self._room = asyncio.Event()
        #: position after the last record that was read
        self._following = ""
        self._checkpointing = Checkpointing(self._snapshot, self._write)
        #: what closed the records of the last event
        self._tail = parts.source.tail("")

    async def run(self) -> None:
        """Until the shard has been read to its end, and that is noted, or until `stopping`.

        Raises CheckpointRefused, HearthError.
        """
        checkpoint = await self._parts.checkpoints.load(self._mapping, self._shard_id)
        if checkpoint is not None:
            checkpoint = await self._rewound(checkpoint)
        if checkpoint is None or checkpoint.finished:
            return
        await self._restore(checkpoint)
        refused = ""
        try:
            await self._live()
        except* CheckpointRefused as group:
            refused = str(group.exceptions[0])
        if refused:  # what is raised inside `except*` comes out as a group
            raise CheckpointRefused(refused)
        if self.ended and self._oldest is None:
            await self._finish()
        await self._parts.telling.tell(self._oldest_ms(), FINISHED if self.ended else self._position())

    async def _rewound(self, checkpoint: Checkpoint) -> Checkpoint:
        """With a rewind of the mapping done, if it concerns the shard and was not done before."""
        rewind = self._mapping.rewind
        if rewind is None or checkpoint.rewind == rewind.id or rewind.shard_id not in ("", self._shard_id):
            return checkpoint
        if rewind.sequence_number:
            position = self._source.at_sequence(rewind.sequence_number)
        else:
            position = await self._source.start(self._shard_id, AT_TIMESTAMP, rewind.at_ms)
        cleared: Fields = {f"lane:{number}": "" for number in checkpoint.lane}
        await self._write({"position": position, "rewind": rewind.id, "layout": "", **cleared})
        return Checkpoint(position, rewind.id)

    async def _live(self) -> None:
        """Until the lanes have come to their ends."""
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(self._read(), name="reader"),
                tasks.create_task(self._parts.telling.run(self._oldest_ms, self._position), name="telling"),
                tasks.create_task(self._wake_at_stop(), name="stop"),
            ]
            await asyncio.wait([tasks.create_task(lane.live(), name="lane") for lane in self._lanes])
            for task in beside:
                task.cancel()

    async def _wake_at_stop(self) -> None:
        await self.stopping.wait()  # no deadline: as long as the lease is held
        self._wake()

    async def _restore(self, checkpoint: Checkpoint) -> None:
        self._following = checkpoint.position
        known = checkpoint.layout == self._options.layout
        if not known and checkpoint.layout:
            await self._end_windows(checkpoint)
        states = checkpoint.lane if known else {}
        count = self._options.lanes
        self._lanes = [Lane(self._options.lane, self, states.get(number, b"")) for number in range(count)]

    async def _end_windows(self, checkpoint: Checkpoint) -> None:
        """The lanes are others now (another parallelisation factor or window length): what was open is closed."""
        length_s = int(checkpoint.layout.partition(":")[2])
        options = replace(self._options.lane, tumbling_s=length_s)
        for number, state in checkpoint.lane.items():
            await Lane(options, _Closing(self, length_s), state).end_early()
            await self._write({f"lane:{number}": ""})
        await self._write({"layout": ""})

    async def _finish(self) -> None:
        fields: Fields = {"position": FINISHED}
        if self._options.layout:
            fields |= {"layout": "", **{f"lane:{number}": "" for number in range(self._options.lanes)}}
        await self._write(fields)
        log.info("shard finished", extra={"action": "shard_finished", **self._where})

    # --- reading ----------------------------------------------------------------------------------------------
    async def _read(self) -> None:
        while not self.ended:
            try:
                while not self.ended:
                    await self._read_on()
            except SourceGone as exc:
                self._note("stream gone", exc)
                self._parts.telling.problem(f"PROBLEM: {exc}")
                await asyncio.sleep(GONE_S)
            except CheckpointRefused:
                raise
            except HearthError as exc:
                self._note("shard not read", exc)
                await asyncio.sleep(PAUSE_S)

    async def _read_on(self) -> None:
        """Read, wait if there is nothing, and share out what was found."""
        await self._has_room()
        most_s = WAIT_S
        if tumbling_s := self._options.lane.tumbling_s:
            # Whether a window is over is known when, at a time after its end, nothing was there to be read.
            clock_ms = await self._source.clock_ms()
            page = await self._source.read(self._shard_id, self._following, MOST_RECORDS)
            if await self._took(page):
                return
            if page.at_tip:
                self.caught_up_ms = clock_ms
                self._wake()
            most_s = min(WAIT_S, tumbling_s - clock_ms / 1000 % tumbling_s + 0.01)
        await self._took(await self._source.read(self._shard_id, self._following, MOST_RECORDS, most_s))

    async def _took(self, page: Page) -> bool:
        """Whether anything was in it, or is not going to be."""
        if page.beside is not None:
            self._parts.target.saw(page.beside)
        self._share_out(page.records)
        self._following = page.following
        if self._oldest is None:
            # Nobody wanted any of them, or all are through. After a crash they are passed over again.
            await (self._checkpointing.commit_lazily() if page.records else self.commit())
        if page.at_end:
            self.ended = True
            self._wake()
        # Lanes first: what has come goes on its way before the next is asked for.
        await asyncio.sleep(0)
        return bool(page.records) or page.at_end

    def _share_out(self, records: Sequence[SourceRecord]) -> None:
        lanes, matches, at_s = self._lanes, self._options.matches, time.monotonic()
        for record in records:
            lane = lanes[lane_of(record.key, len(lanes))]
            if not lane.knows(record) and (matches is None or matches(orjson.loads(record.head + b"}"))):
                lane.add(record, at_s)
        self._wake()

    def _wake(self) -> None:
        for lane in self._lanes:
            lane.wake()

    async def _has_room(self) -> None:
        while any(lane.full for lane in self._lanes):
            self._room.clear()
            await self._room.wait()  # no deadline: as long as a lane does not get on

    def made_room(self) -> None:
        self._room.set()

    @property
    def _oldest(self) -> SourceRecord | None:
        """The first record that was read and is not through."""
        firsts = [first for lane in self._lanes if (first := lane.first) is not None]
        return min(firsts, key=lambda one: one.order, default=None)

    def _oldest_ms(self) -> int:
        oldest = self._oldest
        return oldest.arrival_ms if oldest else 0

    # --- checkpoints ------------------------------------------------------------------------------------------
    def _position(self) -> str:
        oldest = self._oldest
        return self._source.at(oldest) if oldest else self._following

    async def commit(self) -> None:
        await self._checkpointing.commit()

    def _snapshot(self) -> Fields:
        fields: Fields = {"position": self._position()}
        if self._options.layout:
            fields["layout"] = self._options.layout
            fields |= {f"lane:{number}": lane.to_json() for number, lane in enumerate(self._lanes)}
        return fields

    async def _write(self, fields: Fields) -> None:
        """Until it is durable. Raises CheckpointRefused."""
        await self._insist(
            "checkpoint not written",
            lambda: self._parts.checkpoints.commit(self._mapping, self._shard_id, self._token, fields),
        )

    async def _insist(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await act()
            except (Unavailable, TooManyRequests) as exc:
                self._note(what, exc)
                await asyncio.sleep(PAUSE_S)

    # --- what lanes need --------------------------------------------------------------------------------------
    async def invoke(
        self, records: Sequence[SourceRecord], window: OpenWindow | None, *, final: bool, early: bool
    ) -> Ran:
        return await self.invoke_in(records, window, self._options.lane.tumbling_s, final=final, early=early)

    async def invoke_in(
        self, records: Sequence[SourceRecord], window: OpenWindow | None, length_s: int, *, final: bool, early: bool
    ) -> Ran:
        """length_s: of the window."""
        request_id = new_request_id()
        try:
            runnable = await self._parts.target.find()
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
        if len(payload) > self._options.most_bytes and len(records) == 1:
            return Ran(request_id, InvocationResult(Outcome.FUNCTION_ERROR), too_large=True)
        return Ran(request_id, await self._parts.target.run(runnable, payload, request_id))

    async def report(self, work: Work, condition: str, ran: Ran | None, *, reported: bool) -> None:
        log.warning(
            "records given up",
            extra={
                "action": "records_given_up",
                "condition": condition,
                "records": len(work.records),
                "first": work.records[0].sequence_number,
                **self._where,
            },
        )
        await self._insist(
            "report not sent",
            lambda: self._parts.reports.send(
                work, condition, ran, reported=reported, shard_id=self._shard_id, source=self._source, tail=self._tail
            ),
        )

    def said(self, *, well: bool, why: str = "") -> None:
        self._parts.telling.ended(well=well, why=why)

    @property
    def _where(self) -> dict[str, str]:
        return {"mapping": self._mapping.uuid, "shard_id": self._shard_id}

    def _note(self, what: str, exc: HearthError) -> None:
        log.warning(what, extra={"action": what.replace(" ", "_"), "error": str(exc), **self._where})


class _Closing:
    """The surroundings of a lane that only ends its window."""

    ended, caught_up_ms = True, 0

    def __init__(self, shard: ShardRun, length_s: int) -> None:
        self._shard, self._length_s = shard, length_s
        self.stopping = shard.stopping
        self.said = shard.said
        self.report = shard.report

    async def invoke(
        self, records: Sequence[SourceRecord], window: OpenWindow | None, *, final: bool, early: bool
    ) -> Ran:
        return await self._shard.invoke_in(records, window, self._length_s, final=final, early=early)

    async def commit(self) -> None:
        """The shard does it."""

    def made_room(self) -> None:
        """Nobody waits for it."""
