"""Data streams in `state`: a hash a stream, a Redis Stream a shard.

A record is durable when `put` returns. Whoever chose shards for records, or a place to read from, did so by a revision
of the stream; what is done with an older one is refused or repeated. Every method raises Unavailable when `state` does
not answer; a put may have been carried out then.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from hearth.errors import Unavailable
from hearth.model.stream import FIRST, EntryId, Shard, Stream
from hearth.store import keys
from hearth.store.arrivals import arrivals
from hearth.store.client import Store

_NAMES_AT_ONCE = 1000
#: streams that a process remembers
_MAX_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Read:
    """A stream and the revision of its record."""

    stream: Stream
    revision: str


@dataclass(frozen=True, slots=True)
class NewRecord:
    shard: Shard
    partition_key: str
    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data) + len(self.partition_key.encode())


@dataclass(frozen=True, slots=True)
class Record:
    """`entry.ms`: its arrival, epoch ms."""

    entry: EntryId
    partition_key: str
    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data) + len(self.partition_key.encode())


class StreamTable:
    def __init__(self, state: Store) -> None:
        self._state = state

    async def get(self, account: str, region: str, name: str) -> Read | None:
        found = await self._call(self._state.redis.hmget(keys.stream(account, region, name), ["revision", "record"]))
        return None if found[0] is None else Read(Stream.from_json(found[1]), found[0].decode())

    async def names(self, account: str, region: str, after: str) -> list[str]:
        """In their order, those after this one; not all of them at once."""
        start = f"({after}" if after else "-"
        found = self._state.redis.zrangebylex(keys.streams(account, region), start, "+", 0, _NAMES_AT_ONCE)
        return [name.decode() for name in await self._call(found)]

    async def open_shards(self, account: str, region: str) -> int:
        """Of all the account's streams."""
        total, after = 0, ""
        while names := await self.names(account, region, after):
            for name in names:
                read = await self.get(account, region, name)
                total += len(read.stream.open_shards) if read else 0
            after = names[-1]
        return total

    async def places(self) -> list[tuple[str, str]]:
        """(account, region) where streams, of data or of tables, were ever made."""
        found: set[bytes] = await self._call(self._state.redis.smembers(keys.STREAM_PLACES))
        return sorted((account, region) for account, _, region in (one.decode().partition(":") for one in found))

    async def write(self, stream: Stream, *, read: Read | None) -> bool:
        """False: another write came first. read None: it must not exist yet."""
        if read is None:
            # before it is made: a place without streams does no harm, one that is not known is never trimmed
            await self._call(self._state.redis.sadd(keys.STREAM_PLACES, f"{stream.account}:{stream.region}"))
        return await self._write(stream, read.revision if read else "", stream.to_json(), [])

    async def delete(self, read: Read) -> bool:
        """With its records. False: it was changed meanwhile."""
        stream = read.stream
        return await self._write(stream, read.revision, b"", [shard_log(stream, shard) for shard in stream.shards])

    async def _write(self, stream: Stream, revision: str, record: bytes, logs: Sequence[str]) -> bool:
        account, region, name = stream.account, stream.region, stream.name
        names = [keys.stream(account, region, name), keys.streams(account, region), *logs]
        return bool(await self._state.run("stream_write", names, [revision, str(uuid.uuid4()), record, name]))

    # --- records ----------------------------------------------------------------------------------------------
    async def put(self, read: Read, records: Sequence[NewRecord], *, now_ms: int) -> list[EntryId] | None:
        """Their ids, in order; None: the stream was changed since it was read, and nothing was stored."""
        stream = read.stream
        names = {keys.stream(stream.account, stream.region, stream.name): 1}
        args: list[Any] = [read.revision, max(0, stream.horizon_ms(now_ms))]
        for record in records:
            number = names.setdefault(shard_log(stream, record.shard), len(names) + 1)
            args += (number, record.partition_key, record.data)
        reply = await self._state.run("stream_put", list(names), args)
        return None if reply == 0 else [EntryId.parse(one.decode()) for one in reply]

    async def read(self, stream: Stream, shard: Shard, start: EntryId, count: int) -> list[Record]:
        """Up to `count` records from `start` on."""
        found = await self._call(self._state.redis.xrange(shard_log(stream, shard), str(start), "+", count))
        return [_record(entry, one) for entry, one in found]

    async def read_or_wait(
        self, stream: Stream, shard: Shard, start: EntryId, count: int, most_s: float, beside: str = ""
    ) -> tuple[list[Record], dict[bytes, bytes] | None]:
        """`read`; when there is nothing yet, what comes first within so many seconds (two at the most).

        beside: key of a hash; it is read after the records have come (`hearth.store.arrivals`).
        """
        log = shard_log(stream, shard)
        entries, fields = await arrivals(self._state, log, start, count, most_s, beside)
        return [_record(entry, one) for entry, one in entries], fields

    async def last(self, stream: Stream, shard: Shard) -> EntryId:
        """Of the newest record that there ever was; FIRST if there was none."""
        try:
            info: Any = await self._state.redis.xinfo_stream(shard_log(stream, shard))
        except ResponseError:  # no such key
            return FIRST
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
        return EntryId.parse(info["last-generated-id"].decode())

    async def wait(self, stream: Stream, shard: Shard, start: EntryId, most_s: float) -> bool:
        """Until the log has an entry from `start` on; False: none came in so many seconds (two at the most)."""
        entries, _ = await arrivals(self._state, shard_log(stream, shard), start, 1, most_s)
        return bool(entries)

    async def now_ms(self) -> int:
        """The clock that entries' ids are made by."""
        seconds, micros = await self._call(self._state.redis.time())
        return int(seconds) * 1000 + int(micros) // 1000

    async def expire(self, stream: Stream, shard: Shard, now_ms: int) -> None:
        """Give back the room of what has expired; it is not served any more in any case."""
        await self._call(
            self._state.redis.xtrim(shard_log(stream, shard), minid=str(stream.horizon_ms(now_ms)), approximate=True)
        )

    async def trim(self, stream: Stream, shard: Shard, now_ms: int) -> None:
        """Give back the room of everything that has expired, of the log itself if nothing comes to it any more."""
        redis, log, horizon_ms = self._state.redis, shard_log(stream, shard), stream.horizon_ms(now_ms)
        if shard.open or shard.closed_at_ms > horizon_ms:
            await self._call(redis.xtrim(log, minid=str(horizon_ms), approximate=False))
        else:
            await self._call(redis.unlink(log))

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc


def _record(entry: bytes, fields: dict[bytes, bytes]) -> Record:
    return Record(EntryId.parse(entry.decode()), fields[b"k"].decode(), fields[b"d"])


def shard_log(stream: Stream, shard: Shard) -> str:
    return keys.shard(stream.account, stream.region, stream.name, stream.created_at_ms, shard.id)


class KnownStreams:
    """Streams as this process has read them; a put finds out when one has changed."""

    def __init__(self, table: StreamTable) -> None:
        self._table = table
        self._known: dict[tuple[str, str, str], Read] = {}

    async def get(self, account: str, region: str, name: str) -> Read | None:
        read = self._known.get((account, region, name))
        if read is None and (read := await self._table.get(account, region, name)) is not None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[account, region, name] = read
        return read

    def drop(self, account: str, region: str, name: str) -> None:
        self._known.pop((account, region, name), None)
