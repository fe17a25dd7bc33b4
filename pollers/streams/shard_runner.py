"""A mapping's shard, while this poller holds its lease: read, shared out to lanes, invoked, checkpointed.

The reader (`shard_reader.py`) goes ahead as far as the lanes have room. The checkpoint is the first record that is not
through in any lane; with it goes, in the same call, what the lanes carry. So nothing is skipped, and what a dead poller
had begun is begun again; a lane that was ahead of the checkpoint passes over what it had done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hearth.model.mapping import EventSourceMapping
from hearth.store.checkpoints import FINISHED, Checkpoint, CheckpointRefused, CheckpointTable
from pollers.mapping_target import MappingTarget
from pollers.streams.batch_runs import BatchRuns
from pollers.streams.checkpoint import Checkpointing, Fields
from pollers.streams.insisting import insist
from pollers.streams.lane import Lane, LaneOptions, Ran
from pollers.streams.reports import Reports
from pollers.streams.shard_reader import ShardReader
from pollers.streams.source import AT_TIMESTAMP, SourceRecord, SourceReplaced, StreamSource
from pollers.streams.telling import Telling
from pollers.streams.windows import OpenWindow

log = logging.getLogger(__name__)


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
    """`run` is its life; cancelled, what runs is left to the next holder. To its lanes it is `lane.Surroundings`."""

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
        self.stopping = stopping
        self._mapping = mapping
        self._shard_id = shard_id
        self._where = {"mapping": mapping.uuid, "shard_id": shard_id}
        self._token = token
        self._options = options
        self._parts = parts
        self._source = parts.source
        self._lanes: list[Lane] = []
        self._checkpointing = Checkpointing(self._snapshot, self._write)
        self._reader = ShardReader(
            parts.source,
            parts.target,
            parts.telling,
            self._where,
            tumbling_s=options.lane.tumbling_s,
            matches=options.matches,
            shared_out=self._shared_out,
        )
        self._runs = BatchRuns(
            mapping, shard_id, parts.source, parts.target, parts.reports, most_bytes=options.most_bytes
        )
        self.made_room = self._reader.made_room
        self.report = self._runs.report
        self.said = parts.telling.ended

    async def run(self) -> None:
        """Until the shard has been read to its end, and that is noted; or its stream has been made anew (which units
        it has then is another question); or `stopping`.

        Raises CheckpointRefused, HearthError.
        """
        checkpoint = await self._parts.checkpoints.load(self._mapping, self._shard_id)
        if checkpoint is None or not checkpoint.is_of(await self._source.incarnation()):
            return
        checkpoint = await self._rewound(checkpoint)
        if checkpoint.finished:
            return
        await self._restore(checkpoint)
        refused = ""
        try:
            await self._live()
        except* CheckpointRefused as group:
            refused = str(group.exceptions[0])
        except* SourceReplaced as group:
            log.info("stream replaced", extra={"action": "stream_replaced", "error": str(group), **self._where})
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
        return replace(checkpoint, position=position, rewind=rewind.id, layout="", lane={})

    async def _live(self) -> None:
        """Until the lanes have come to their ends."""
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(self._reader.run(), name="reader"),
                tasks.create_task(self._parts.telling.run(self._oldest_ms, self._position), name="telling"),
                tasks.create_task(self._wake_at_stop(), name="stop"),
            ]
            await asyncio.wait([tasks.create_task(lane.live(), name="lane") for lane in self._lanes])
            for task in beside:
                task.cancel()

    async def _wake_at_stop(self) -> None:
        await self.stopping.wait()  # no deadline: as long as the lease is held
        self._reader.wake_lanes()

    async def _restore(self, checkpoint: Checkpoint) -> None:
        self._reader.following = checkpoint.position
        known = checkpoint.layout == self._options.layout
        if not known and checkpoint.layout:
            await self._end_windows(checkpoint)
        states = checkpoint.lane if known else {}
        count = self._options.lanes
        self._lanes = [Lane(self._options.lane, self, states.get(number, b"")) for number in range(count)]
        self._reader.lanes = self._lanes

    async def _end_windows(self, checkpoint: Checkpoint) -> None:
        """The lanes are others now (another parallelisation factor or window length): what was open is closed."""
        length_s = int(checkpoint.layout.partition(":")[2])
        options = replace(self._options.lane, tumbling_s=length_s)
        for number, state in checkpoint.lane.items():
            await Lane(options, _Closing(self, self._runs, length_s), state).end_early()
            await self._write({f"lane:{number}": ""})
        await self._write({"layout": ""})

    async def _finish(self) -> None:
        fields: Fields = {"position": FINISHED}
        if self._options.layout:
            fields |= {"layout": "", **{f"lane:{number}": "" for number in range(self._options.lanes)}}
        await self._write(fields)
        log.info("shard finished", extra={"action": "shard_finished", **self._where})

    # --- checkpoints ------------------------------------------------------------------------------------------
    @property
    def _oldest(self) -> SourceRecord | None:
        """The first record that was read and is not through."""
        firsts = [first for lane in self._lanes if (first := lane.first) is not None]
        return min(firsts, key=lambda one: one.order, default=None)

    def _oldest_ms(self) -> int:
        oldest = self._oldest
        return oldest.arrival_ms if oldest else 0

    def _position(self) -> str:
        oldest = self._oldest
        return self._source.at(oldest) if oldest else self._reader.following

    async def _shared_out(self, anything: bool) -> None:
        if self._oldest is None:
            # Nobody wanted any of them, or all are through. After a crash they are passed over again.
            await (self._checkpointing.commit_lazily() if anything else self.commit())

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
        await insist(
            "checkpoint not written",
            lambda: self._parts.checkpoints.commit(self._mapping, self._shard_id, self._token, fields),
            self._where,
        )

    # --- what lanes need --------------------------------------------------------------------------------------
    @property
    def ended(self) -> bool:
        return self._reader.ended

    @property
    def caught_up_ms(self) -> int:
        return self._reader.caught_up_ms

    async def invoke(
        self, records: Sequence[SourceRecord], window: OpenWindow | None, *, final: bool, early: bool
    ) -> Ran:
        return await self._runs.invoke(records, window, self._options.lane.tumbling_s, final=final, early=early)


class _Closing:
    """The surroundings of a lane that only ends its window."""

    ended, caught_up_ms = True, 0

    def __init__(self, shard: ShardRun, runs: BatchRuns, length_s: int) -> None:
        self._runs, self._length_s = runs, length_s
        self.stopping = shard.stopping
        self.said = shard.said
        self.report = shard.report

    async def invoke(
        self, records: Sequence[SourceRecord], window: OpenWindow | None, *, final: bool, early: bool
    ) -> Ran:
        return await self._runs.invoke(records, window, self._length_s, final=final, early=early)

    async def commit(self) -> None:
        """The shard does it."""

    def made_room(self) -> None:
        """Nobody waits for it."""
