"""The reading of a mapping's shard: as far ahead as its lanes have room, filtered, each record into its key's lane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from hearth.errors import HearthError
from hearth.store.checkpoints import CheckpointRefused
from pollers.mapping_target import MappingTarget
from pollers.streams.batching import lane_of
from pollers.streams.insisting import PAUSE_S, note
from pollers.streams.lane import Lane
from pollers.streams.source import MOST_RECORDS, Page, SourceGone, SourceRecord, SourceReplaced, StreamSource
from pollers.streams.telling import Telling

#: of one blocking read; the pause when the stream is gone
WAIT_S, GONE_S = 4.0, 5.0


class ShardReader:
    """`run` is its life. `lanes` are given to it before."""

    def __init__(
        self,
        source: StreamSource,
        target: MappingTarget,
        telling: Telling,
        where: Mapping[str, str],
        *,
        tumbling_s: int,
        matches: Callable[[dict[str, Any]], bool] | None,
        shared_out: Callable[[bool], Awaitable[None]],
    ) -> None:
        """where: the mapping and the shard_id, for the log. matches None: no filter. shared_out: called after each
        read, with whether it found anything."""
        self.lanes: Sequence[Lane] = ()
        #: position after the last record that was read
        self.following = ""
        #: the shard has been read to its end
        self.ended = False
        #: everything that arrived before this time (epoch ms) has been read; told only with tumbling windows
        self.caught_up_ms = 0
        self._source = source
        self._target = target
        self._telling = telling
        self._where = where
        self._tumbling_s = tumbling_s
        self._matches = matches
        self._shared_out = shared_out
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Until `ended`. Raises CheckpointRefused, SourceReplaced."""
        while not self.ended:
            try:
                while not self.ended:
                    await self._read_on()
            except (CheckpointRefused, SourceReplaced):
                raise
            except SourceGone as exc:
                note("stream gone", exc, self._where)
                self._telling.problem(f"PROBLEM: {exc}")
                await asyncio.sleep(GONE_S)
            except HearthError as exc:
                note("shard not read", exc, self._where)
                await asyncio.sleep(PAUSE_S)

    async def _read_on(self) -> None:
        """Read, wait if there is nothing, and share out what was found."""
        await self._has_room()
        most_s = WAIT_S
        if self._tumbling_s:
            # Whether a window is over is known when, at a time after its end, nothing was there to be read.
            clock_ms = await self._source.clock_ms()
            page = await self._read()
            if await self._took(page):
                return
            if page.at_tip:
                self.caught_up_ms = clock_ms
                self.wake_lanes()
            most_s = min(WAIT_S, self._tumbling_s - clock_ms / 1000 % self._tumbling_s + 0.01)
        await self._took(await self._read(most_s))

    async def _read(self, most_s: float = 0.0) -> Page:
        return await self._source.read(self._where["shard_id"], self.following, MOST_RECORDS, most_s)

    async def _took(self, page: Page) -> bool:
        """Whether anything was in it, or is not going to be."""
        if page.beside is not None:
            self._target.saw(page.beside)
        self._share_out(page.records)
        self.following = page.following
        await self._shared_out(bool(page.records))
        if page.at_end:
            self.ended = True
            self.wake_lanes()
        # Lanes first: what has come goes on its way before the next is asked for.
        await asyncio.sleep(0)
        return bool(page.records) or page.at_end

    def _share_out(self, records: Sequence[SourceRecord]) -> None:
        lanes, matches, at_s = self.lanes, self._matches, time.monotonic()
        for record in records:
            lane = lanes[lane_of(record.key, len(lanes))]
            if not lane.knows(record) and (matches is None or matches(orjson.loads(record.head + b"}"))):
                lane.add(record, at_s)
        self.wake_lanes()

    def wake_lanes(self) -> None:
        for lane in self.lanes:
            lane.wake()

    def made_room(self) -> None:
        """A lane has taken a batch of what was read."""
        self._room.set()

    async def _has_room(self) -> None:
        while any(lane.full for lane in self.lanes):
            self._room.clear()
            await self._room.wait()  # no deadline: as long as a lane does not get on
