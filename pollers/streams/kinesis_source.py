"""A data stream of this platform as source: its shards' logs are read directly.

A position is the entry to be read first, written as an integer that grows with the entries (a record's `order`).
"""

from __future__ import annotations

import time

import orjson

from hearth.clock import now_ms
from hearth.model.stream import HOUR_MS, EntryId, SequenceNumber, Shard, Stream, shard_id
from hearth.store.streams import Record, StreamTable
from pollers.streams.event import kinesis_head, kinesis_tail
from pollers.streams.source import (
    AT_TIMESTAMP,
    LATEST,
    MOST_RECORDS,
    READ_BYTES,
    Page,
    SourceGone,
    SourceRecord,
    SourceReplaced,
    SourceShard,
)

#: bits of the number within the ms in an order
_WITHIN_BITS = 20
#: how long a record of the stream is believed when nothing comes
_BELIEVED_S = 1.5


class KinesisSource:
    batch_member = "KinesisBatchInfo"
    whole_seconds = False

    def __init__(self, table: StreamTable, arn: str, beside: str = "") -> None:
        """arn: of the stream, or of a consumer of it; records name it as their source. beside: key of a hash that is
        read with records that were waited for."""
        self._table = table
        self._beside_key = beside
        self._arn = arn
        _, _, _, region, account, resource = arn.split(":", 5)
        self._place = account, region, resource.split("/")[1]
        self._region_json, self._arn_json = orjson.dumps(region), orjson.dumps(arn)
        self._stream: Stream | None = None
        self._read_s = 0.0
        #: of the largest record of the last read: a read asks for as many as are unlikely to be too much at once
        self._record_bytes = 65_536

    async def incarnation(self) -> str:
        return str((await self._known()).created_at_ms)

    async def shards(self) -> list[SourceShard]:
        stream = await self._fresh()
        return [_shown(shard) for shard in stream.listed(now_ms())]

    async def start(self, shard_id: str, kind: str, at_ms: int = 0) -> str:
        if kind == AT_TIMESTAMP:
            return str(_order(EntryId(at_ms, 0)))
        if kind == LATEST:
            stream = await self._fresh()
            last = await self._table.last(stream, self._shard(stream, shard_id))
            return str(_order(last) + 1)
        return "0"

    async def read(self, shard_id: str, position: str, count: int, most_s: float = 0.0) -> Page:
        stream = await self._known()
        shard = self._shard(stream, shard_id)
        start = int(position)
        horizon = _order(EntryId(max(0, stream.horizon_ms(now_ms())), 0))
        asked = max(1, min(count, MOST_RECORDS, READ_BYTES // self._record_bytes))
        entry = _entry(max(start, horizon))
        beside = None
        if most_s > 0:
            found, beside = await self._table.read_or_wait(stream, shard, entry, asked, most_s, self._beside_key)
        else:
            found = await self._table.read(stream, shard, entry, asked)
        if not found:
            return await self._at_tip(shard, position)
        self._record_bytes = max(64, *(len(one.data) for one in found))
        records = [self._record(shard, one) for one in found]
        return Page(records, str(records[-1].order + 1), beside=beside)

    async def _at_tip(self, shard: Shard, position: str) -> Page:
        """Nothing was found: is the shard closed, and is that still all? A put into it may have come before its end."""
        if time.monotonic() - self._read_s >= _BELIEVED_S or not shard.open:
            stream = await self._fresh()
            shard = self._shard(stream, shard.id)
            if not shard.open:
                rest = await self._table.read(stream, shard, _entry(int(position)), 1)
                return Page((), position, at_end=not rest, at_tip=not rest)
        return Page((), position, at_tip=True)

    async def clock_ms(self) -> int:
        return await self._table.now_ms()

    def at(self, record: SourceRecord) -> str:
        return str(record.order)

    def at_sequence(self, number: str) -> str:
        return str(_order(SequenceNumber.parse(number).entry))

    def tail(self, role: str) -> bytes:
        return kinesis_tail(role)

    async def retention_ms(self) -> int:
        return (await self._known()).retention_h * HOUR_MS

    async def _known(self) -> Stream:
        return self._stream if self._stream is not None else await self._fresh()

    async def _fresh(self) -> Stream:
        asked_s = time.monotonic()
        read = await self._table.get(*self._place)
        if read is None:
            raise SourceGone(f"Stream not found: {self._arn}")
        if self._stream and read.stream.created_at_ms != self._stream.created_at_ms:
            raise SourceReplaced(f"{self._arn} was deleted and made again")
        self._stream, self._read_s = read.stream, asked_s
        return read.stream

    def _shard(self, stream: Stream, shard_id: str) -> Shard:
        shard = stream.shard(shard_id)
        if shard is None:
            raise SourceGone(f"Shard {shard_id} of {self._arn} is not there")
        return shard

    def _record(self, shard: Shard, one: Record) -> SourceRecord:
        number = shard.sequence_number(one.entry)
        head = kinesis_head(
            one.partition_key, number, one.data, one.entry.ms, shard.id, self._region_json, self._arn_json
        )
        return SourceRecord(_order(one.entry), number, one.partition_key.encode(), one.entry.ms, head)


def _shown(shard: Shard) -> SourceShard:
    parents = tuple(shard_id(one) for one in (shard.parent, shard.adjacent_parent) if one is not None)
    return SourceShard(shard.id, parents, shard.open)


def _order(entry: EntryId) -> int:
    return entry.ms << _WITHIN_BITS | entry.number


def _entry(order: int) -> EntryId:
    return EntryId(order >> _WITHIN_BITS, order & (1 << _WITHIN_BITS) - 1)
