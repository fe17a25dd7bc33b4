"""DynamoDB tables in `state`: a hash a table, its items in another, their order in a sorted set.

An item and its change record are written by one script; both are durable when the call returns. Who writes or reads
items does so by a revision of the table: with an older one nothing is done and TableChanged raised. Every method raises
Unavailable when `state` does not answer; a write may have been carried out then.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.change import RETENTION_MS, ChangeStream, horizon_ms
from hearth.model.table import Table, after_prefix
from hearth.store import keys
from hearth.store.changes import change_log
from hearth.store.client import Store

_NAMES_AT_ONCE = 1000
#: tables that a process remembers
_MAX_KNOWN = 1000
#: in place of an item's digest: whatever there is
ANY = "*"
#: in place of a new item: leave it as it is
UNCHANGED = b"="
DELETED = b""
#: AWS's: a transaction's token counts for ten minutes
TOKEN_MS = 600_000


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table and the revision of its record."""

    table: Table
    revision: str


class TableChanged(Exception):
    """It was changed, or deleted, since it was read. Nothing was done."""

    def __init__(self, table: Table) -> None:
        super().__init__(table.name)
        self.table = table


class ItemChanged(Exception):
    """Another write to an item came between. Nothing was done."""


@dataclass(frozen=True, slots=True)
class Token:
    """Under which a transaction is done once. digest: of what is asked."""

    account: str
    region: str
    text: str
    digest: str


class AlreadyDone(Exception):
    """A transaction was done under this token before. Nothing was done now. digest: of what was asked then."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


@dataclass(frozen=True, slots=True)
class ItemWrite:
    """item: canonical JSON, or DELETED, or UNCHANGED. replaces: `digest` of what was read there, or ANY."""

    read: TableRead
    place: bytes
    key: bytes
    item: bytes
    replaces: str = ANY


class TableStore:
    def __init__(self, state: Store) -> None:
        self._state = state

    async def get(self, account: str, region: str, name: str) -> TableRead | None:
        found = await self._call(self._state.redis.hmget(keys.table(account, region, name), ["revision", "record"]))
        return None if found[0] is None else TableRead(Table.from_json(found[1]), found[0].decode())

    async def names(self, account: str, region: str, after: str) -> list[str]:
        """In their order, those after this one; not all of them at once."""
        start = f"({after}" if after else "-"
        found = self._state.redis.zrangebylex(keys.tables(account, region), start, "+", 0, _NAMES_AT_ONCE)
        return [name.decode() for name in await self._call(found)]

    async def sizes(self, table: Table) -> tuple[int, int]:
        """(items, their bytes as they are stored)."""
        pipe = self._state.redis.pipeline(transaction=False)
        pipe.hlen(_items(table))
        pipe.hget(keys.table(table.account, table.region, table.name), "bytes")
        count, size = await self._call(pipe.execute())
        return int(count), int(size or 0)

    async def write(self, table: Table, *, read: TableRead | None, closed: ChangeStream | None = None) -> bool:
        """False: another write came first. read None: it must not exist yet. closed: the stream that ends by this."""
        if table.stream is not None:
            # before it is made: a place without streams does no harm, one that is not known is never trimmed
            await self._call(self._state.redis.sadd(keys.STREAM_PLACES, f"{table.account}:{table.region}"))
        return await self._write(table, read.revision if read else "", table.to_json(), closed, [])

    async def delete(self, read: TableRead, *, closed: ChangeStream | None) -> bool:
        """With its items; its stream stays readable. False: it was changed meanwhile."""
        table = read.table
        return await self._write(table, read.revision, b"", closed, [_items(table), _places(table)])

    async def _write(
        self, table: Table, revision: str, record: bytes, closed: ChangeStream | None, gone: Sequence[str]
    ) -> bool:
        account, region, name = table.account, table.region, table.name
        streams: dict[str, bytes] = {}
        for stream in (closed, table.stream if record else None):
            if stream is not None:
                streams[f"{name}/{stream.label}"] = stream.to_json()
        names = [
            keys.table(account, region, name),
            keys.tables(account, region),
            keys.change_streams(account, region),
            _log(closed, table),
            *gone,
        ]
        pairs = [part for pair in streams.items() for part in pair]
        args = [revision, str(uuid.uuid4()), record, name, RETENTION_MS if closed else 0, *pairs]
        return bool(await self._state.run("table_write", names, args))

    # --- items ------------------------------------------------------------------------------------------------
    async def items(self, wanted: Sequence[tuple[TableRead, bytes]]) -> list[bytes | None]:
        """By (table, place), all as they are at one moment; None where there is none. Raises TableChanged."""
        reads = list({read.table.arn: read for read, _ in wanted}.values())
        pipe = self._state.redis.pipeline(transaction=len(wanted) > 1)
        for read in reads:
            pipe.hget(keys.table(read.table.account, read.table.region, read.table.name), "revision")
        for read, place in wanted:
            pipe.hget(_items(read.table), place)
        found = await self._call(pipe.execute())
        for read, revision in zip(reads, found, strict=False):
            if revision is None or revision.decode() != read.revision:
                raise TableChanged(read.table)
        return list(found[len(reads) :])

    async def items_between(
        self, read: TableRead, bounds: Bounds, *, count: int, most_bytes: int
    ) -> list[tuple[bytes, bytes]]:
        """(place, item) in their order; one item more than the bytes allow, if there is one. Raises TableChanged."""
        table = read.table
        low, high = bounds.texts
        names = [keys.table(table.account, table.region, table.name), _items(table), _places(table)]
        ends = (high, low, "REV") if bounds.backwards else (low, high, "")
        found = await self._state.run("items_range", names, [read.revision, *ends, count, most_bytes])
        if found == 0:
            raise TableChanged(table)
        return list(zip(found[::2], found[1::2], strict=True))

    async def done_under(self, token: Token) -> str | None:
        """Digest of what was done under it; None: nothing."""
        found = await self._state.get(keys.transaction(token.account, token.region, token.text))
        return None if found is None else found.decode()

    async def write_items(
        self, writes: Sequence[ItemWrite], *, now_ms: int, token: Token | None = None
    ) -> list[bytes | None]:
        """All or none; what they replaced. No two of the same item. Raises TableChanged, ItemChanged, AlreadyDone."""
        reads = list({write.read.table.arn: write.read for write in writes}.values())
        numbers = {read.table.arn: number for number, read in enumerate(reads, 1)}
        names: list[str] = []
        args: list[Any] = [len(reads)]
        for read in reads:
            table, stream = read.table, read.table.stream
            names += [keys.table(table.account, table.region, table.name), _items(table), _places(table)]
            names.append(_log(stream, table))
            args += (read.revision, stream.view if stream else "", max(0, horizon_ms(now_ms)))
        if token is not None:
            names.append(keys.transaction(token.account, token.region, token.text))
        args += (token.digest if token else "", TOKEN_MS)
        for write in writes:
            args += (numbers[write.read.table.arn], write.place, write.key, write.replaces, write.item)
        outcome, *found = await self._state.run("items_write", names, args)
        if outcome == -1:
            raise TableChanged(reads[found[0] - 1].table)
        if outcome == 0:
            raise ItemChanged
        if outcome == 2:
            raise AlreadyDone(found[0].decode())
        return found

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc


@dataclass(frozen=True, slots=True)
class Bounds:
    """Places from `low` to before `high` (b"": to the end); after: those beyond this one in the order of reading."""

    low: bytes
    high: bytes
    backwards: bool = False
    after: bytes | None = None

    @classmethod
    def of_prefix(cls, prefix: bytes) -> Bounds:
        return cls(prefix, after_prefix(prefix))

    @property
    def texts(self) -> tuple[bytes, bytes]:
        """As ZRANGE BYLEX takes them."""
        low = b"[" + self.low if self.low else b"-"
        high = b"(" + self.high if self.high else b"+"
        if self.after is not None:
            if self.backwards:
                high = b"(" + (min(self.after, self.high) if self.high else self.after)
            elif self.after >= self.low:
                low = b"(" + self.after
        return low, high


def digest(item: bytes | None) -> str:
    """What an item is told by in `ItemWrite.replaces`."""
    return "" if item is None else hashlib.sha1(item, usedforsecurity=False).hexdigest()


def _items(table: Table) -> str:
    return keys.items(table.account, table.region, table.name, table.created_at_ms)


def _places(table: Table) -> str:
    return keys.places(table.account, table.region, table.name, table.created_at_ms)


def _log(stream: ChangeStream | None, table: Table) -> str:
    """Scripts take a key in any case."""
    return _items(table) if stream is None else change_log(stream)


class KnownTables:
    """Tables as this process has read them; who uses one finds out when it has changed."""

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self._known: dict[tuple[str, str, str], TableRead] = {}

    async def get(self, account: str, region: str, name: str) -> TableRead | None:
        read = self._known.get((account, region, name))
        if read is None and (read := await self._store.get(account, region, name)) is not None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[account, region, name] = read
        return read

    def drop(self, table: Table) -> None:
        self._known.pop((table.account, table.region, table.name), None)
