"""The stream of a table of this platform as source: its only shard's log is read directly.

A position is the sequence number of the record to be read first, as an integer (a record's `order`).
"""

from __future__ import annotations

import time

import orjson

from hearth.clock import now_ms
from hearth.model.change import RETENTION_MS, Change, ChangeStream, entry_of, horizon_ms, sequence_number
from hearth.model.stream import EntryId
from hearth.store.changes import ChangeLogs
from pollers.streams.event import table_head
from pollers.streams.source import AT_TIMESTAMP, LATEST, MOST_RECORDS, Page, SourceGone, SourceRecord, SourceShard

#: how long the stream is believed to be enabled when nothing comes
_BELIEVED_S = 1.5
#: from a change's making until it can be read; its time is taken by the writer
_SKEW_MS = 1000
#: of images read at once, as they are stored
_READ_RECORDS = 250


class TableSource:
    batch_member = "DDBStreamBatchInfo"
    whole_seconds = True

    def __init__(self, logs: ChangeLogs, arn: str, beside: str = "") -> None:
        """beside: key of a hash that is read with changes that were waited for."""
        self._logs = logs
        self._beside_key = beside
        self._arn = arn
        self._stream: ChangeStream | None = None
        self._read_s = 0.0

    async def incarnation(self) -> str:
        return ""

    async def shards(self) -> list[SourceShard]:
        stream = await self._fresh()
        return [SourceShard(stream.shard_id, (), stream.enabled)]

    async def start(self, shard_id: str, kind: str, at_ms: int = 0) -> str:
        if kind == AT_TIMESTAMP:
            return _position(EntryId(at_ms, 0))
        if kind == LATEST:
            return _position((await self._logs.last(await self._fresh())).following())
        return "0"

    async def read(self, shard_id: str, position: str, count: int, most_s: float = 0.0) -> Page:
        stream = await self._known()
        start = max(entry_of(position), EntryId(horizon_ms(now_ms()), 0))
        asked = min(count, MOST_RECORDS, _READ_RECORDS)
        beside = None
        if most_s > 0:
            found, beside = await self._logs.read_or_wait(stream, start, asked, most_s, self._beside_key)
        else:
            found = await self._logs.read(stream, start, asked)
        if not found:
            return await self._at_tip(position)
        records = [self._record(stream, change) for change in found]
        return Page(records, _position(found[-1].entry.following()), beside=beside)

    async def _at_tip(self, position: str) -> Page:
        """Nothing was found: is the stream closed, and is that still all? A change may have come before its end."""
        if time.monotonic() - self._read_s >= _BELIEVED_S:
            stream = await self._fresh()
            if not stream.enabled:
                rest = await self._logs.read(stream, entry_of(position), 1)
                return Page((), position, at_end=not rest, at_tip=not rest)
        return Page((), position, at_tip=True)

    async def clock_ms(self) -> int:
        return now_ms() - _SKEW_MS

    def at(self, record: SourceRecord) -> str:
        return str(record.order)

    def at_sequence(self, number: str) -> str:
        return _position(entry_of(number))

    def tail(self, role: str) -> bytes:
        return b"}"

    async def retention_ms(self) -> int:
        return RETENTION_MS

    async def _known(self) -> ChangeStream:
        return self._stream if self._stream is not None else await self._fresh()

    async def _fresh(self) -> ChangeStream:
        asked_s = time.monotonic()
        stream = await self._logs.stream(self._arn)
        if stream is None:
            raise SourceGone(f"Stream not found: {self._arn}")
        self._stream, self._read_s = stream, asked_s
        return stream

    def _record(self, stream: ChangeStream, change: Change) -> SourceRecord:
        key = orjson.dumps(change.keys, option=orjson.OPT_SORT_KEYS)
        head = table_head(change.record(stream), self._arn)
        return SourceRecord(int(change.sequence_number), change.sequence_number, key, change.entry.ms, head)


def _position(entry: EntryId) -> str:
    return str(int(sequence_number(entry)))
