"""A Kinesis data stream: its shards, what hash keys they hold, and its records' sequence numbers. No I/O.

A record lies in its shard's log under an entry id, (arrival in ms, number within the ms), which only grows; the
sequence number that clients see carries it, so that each gives the other.
Source: Kinesis API reference; the form of sequence numbers as observed on AWS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Self

import orjson

MAX_HASH_KEY = 2**128 - 1
PROVISIONED, ON_DEMAND = "PROVISIONED", "ON_DEMAND"
HOUR_MS = 3_600_000
_SHARD_PREFIX = "shardId-"
#: bits of the number within the ms in a sequence number's index
_WITHIN_BITS = 20
_LAST_INDEX = 2**63 - 1


class EntryId(NamedTuple):
    """Of a record in its shard's log; ordered as the records are."""

    ms: int
    number: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError."""
        ms, _, number = text.partition("-")
        return cls(int(ms), int(number))

    def following(self) -> EntryId:
        return EntryId(self.ms, self.number + 1)


FIRST = EntryId(0, 0)


@dataclass(frozen=True, slots=True)
class SequenceNumber:
    """What a sequence number says. created_s: when its shard was created."""

    created_s: int
    shard: int
    entry: EntryId

    def __str__(self) -> str:
        index = self.entry.ms << _WITHIN_BITS | self.entry.number
        return self._number(min(index, _LAST_INDEX), self.entry.ms // 1000)

    def _number(self, index: int, at_s: int) -> str:
        nibble = self.shard & 0xF
        at_s &= 0xFFFFFFFFF
        return str(int(f"2{self.created_s:09x}{nibble:x}{index:016x}00{at_s:09x}{self.shard:08x}2", 16))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for what no stream of ours can have given out."""
        digits = f"{int(text):x}"
        if len(digits) != 47 or digits[0] != "2" or digits[-1] != "2":
            raise ValueError(f"no sequence number: {text}")
        index = int(digits[11:27], 16)
        entry = EntryId(index >> _WITHIN_BITS, index & (1 << _WITHIN_BITS) - 1)
        return cls(int(digits[1:10], 16), int(digits[38:46], 16), entry)


@dataclass(frozen=True, slots=True)
class Shard:
    """start, end: of its hash keys, inclusive. closed_at_ms 0: open."""

    index: int
    start: int
    end: int
    created_at_ms: int
    closed_at_ms: int = 0
    parent: int | None = None
    adjacent_parent: int | None = None

    @property
    def id(self) -> str:
        return shard_id(self.index)

    @property
    def open(self) -> bool:
        return not self.closed_at_ms

    @property
    def created_s(self) -> int:
        return self.created_at_ms // 1000

    def sequence_number(self, entry: EntryId) -> str:
        return str(SequenceNumber(self.created_s, self.index, entry))

    @property
    def starting_sequence_number(self) -> str:
        return self.sequence_number(EntryId(self.created_at_ms, 0))

    @property
    def ending_sequence_number(self) -> str | None:
        """None while it is open."""
        if self.open:
            return None
        return SequenceNumber(self.created_s, self.index, FIRST)._number(_LAST_INDEX, self.closed_at_ms // 1000)

    def was_open_at(self, at_ms: int) -> bool:
        return self.created_at_ms <= at_ms and (self.open or self.closed_at_ms > at_ms)


@dataclass(frozen=True, slots=True)
class Consumer:
    name: str
    created_at_ms: int
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """shards: in the order of their indexes; closed ones stay until their records have expired."""

    account: str
    region: str
    name: str
    created_at_ms: int
    mode: str
    shards: tuple[Shard, ...]
    retention_h: int = 24
    max_record_kib: int = 1024
    tags: dict[str, str] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    key_id: str = ""
    policy: str = ""
    warm_mibps: int = 0

    @property
    def arn(self) -> str:
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{self.name}"

    def consumer_arn(self, consumer: Consumer) -> str:
        return f"{self.arn}/consumer/{consumer.name}:{consumer.created_at_ms // 1000}"

    @property
    def open_shards(self) -> list[Shard]:
        return sorted((shard for shard in self.shards if shard.open), key=lambda shard: shard.start)

    def horizon_ms(self, now_ms: int) -> int:
        """Records that arrived before this have expired."""
        return now_ms - self.retention_h * HOUR_MS

    def listed(self, now_ms: int) -> list[Shard]:
        """Without the closed ones of which no record is left."""
        horizon_ms = self.horizon_ms(now_ms)
        return [shard for shard in self.shards if shard.open or shard.closed_at_ms > horizon_ms]

    def shard(self, text: str) -> Shard | None:
        """By its id; ids with fewer digits are taken too."""
        index = shard_index(text)
        return next((shard for shard in self.shards if shard.index == index), None)

    def shard_of(self, hash_key: int) -> Shard:
        return next(shard for shard in self.shards if shard.open and shard.start <= hash_key <= shard.end)

    def children(self, shard: Shard) -> list[Shard]:
        return [one for one in self.shards if shard.index in (one.parent, one.adjacent_parent)]

    def to_json(self) -> bytes:
        shards = [{**asdict(one), "start": str(one.start), "end": str(one.end)} for one in self.shards]
        return orjson.dumps({**asdict(replace(self, shards=())), "shards": shards})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        given: dict[str, Any] = orjson.loads(data)
        shards = tuple(
            Shard(**{**one, "start": int(one["start"]), "end": int(one["end"])}) for one in given.pop("shards")
        )
        consumers = {name: Consumer(**one) for name, one in given.pop("consumers").items()}
        return cls(**{**given, "metrics": tuple(given["metrics"])}, shards=shards, consumers=consumers)


def shard_id(index: int) -> str:
    return f"{_SHARD_PREFIX}{index:012d}"


def shard_index(text: str) -> int | None:
    """None: no shard's id."""
    digits = text.removeprefix(_SHARD_PREFIX)
    if digits == text or not digits.isascii() or not digits.isdigit():
        return None
    return int(digits)


def hash_key_of(partition_key: str) -> int:
    """Kinesis API reference, PutRecord: the MD5 of the key as a 128-bit number."""
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


def even_starts(count: int) -> list[int]:
    width = (MAX_HASH_KEY + 1) // count
    return [width * number for number in range(count)]


def first_shards(count: int, now_ms: int) -> tuple[Shard, ...]:
    starts = even_starts(count)
    ends = [start - 1 for start in starts[1:]] + [MAX_HASH_KEY]
    return tuple(Shard(index, start, end, now_ms) for index, (start, end) in enumerate(zip(starts, ends, strict=True)))


def split(stream: Stream, shard: Shard, start: int, now_ms: int) -> Stream:
    """`shard` is closed; `start` is the second child's first hash key."""
    index = _next_index(stream)
    children = (
        Shard(index, shard.start, start - 1, now_ms, parent=shard.index),
        Shard(index + 1, start, shard.end, now_ms, parent=shard.index),
    )
    return _reshard(stream, (shard,), children, now_ms)


def merge(stream: Stream, shard: Shard, adjacent: Shard, now_ms: int) -> Stream:
    """Both are closed; they must be neighbours."""
    start, end = min(shard.start, adjacent.start), max(shard.end, adjacent.end)
    index = _next_index(stream)
    child = Shard(index, start, end, now_ms, parent=shard.index, adjacent_parent=adjacent.index)
    return _reshard(stream, (shard, adjacent), (child,), now_ms)


def scaled(stream: Stream, count: int, now_ms: int) -> Stream:
    """Even ranges, by splits and merges (UpdateShardCount, UNIFORM_SCALING)."""
    starts = set(even_starts(count))
    for start in sorted(starts):
        shard = stream.shard_of(start)
        if shard.start != start:
            stream = split(stream, shard, start, now_ms)
    while True:
        shards = stream.open_shards
        odd = next((at for at, shard in enumerate(shards) if shard.start not in starts), None)
        if odd is None:
            return stream
        stream = merge(stream, shards[odd - 1], shards[odd], now_ms)


def _next_index(stream: Stream) -> int:
    return stream.shards[-1].index + 1


def _reshard(stream: Stream, closed: Sequence[Shard], children: Iterable[Shard], now_ms: int) -> Stream:
    shards = [replace(one, closed_at_ms=now_ms) if one in closed else one for one in stream.shards]
    return replace(stream, shards=(*shards, *children))
