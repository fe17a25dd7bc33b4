"""A DynamoDB table: its key, its settings, and where an item lies in it. No I/O.

An item's place is a byte string, in whose order tables are scanned: a hash of the partition key, the partition key with
its length, the sort key in the order of its values. So all of a partition lies together, in the order of sort keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

import orjson

from hearth.errors import ValidationFailed
from hearth.model.attribute_value import Item, Value, sort_bytes
from hearth.model.change import ChangeStream

PROVISIONED, ON_DEMAND = "PROVISIONED", "PAY_PER_REQUEST"
MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES = 2048, 1024
_HASH_BYTES = 8
NO_MATCH = "The provided key element does not match the schema"


class KeyAttribute(NamedTuple):
    """kind: S, N or B."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """range_key None: one item a partition. stream: the enabled one. read_units, write_units 0: on demand."""

    account: str
    region: str
    name: str
    id: str
    created_at_ms: int
    hash_key: KeyAttribute
    range_key: KeyAttribute | None
    billing: str
    on_demand_since_ms: int = 0
    read_units: int = 0
    write_units: int = 0
    protected: bool = False
    table_class: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    stream: ChangeStream | None = None
    #: ARN of the newest stream there was
    latest_stream: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.name}"

    @property
    def keys(self) -> tuple[KeyAttribute, ...]:
        return (self.hash_key,) if self.range_key is None else (self.hash_key, self.range_key)

    @property
    def key_schema(self) -> tuple[tuple[str, str], ...]:
        return tuple(zip((key.name for key in self.keys), ("HASH", "RANGE"), strict=False))

    def key_of(self, item: Item) -> Item:
        return {key.name: item[key.name] for key in self.keys}

    def check_key(self, key: Item) -> None:
        """Of a request's Key. Raises ValidationFailed."""
        if len(key) != len(self.keys):
            raise ValidationFailed("The number of conditions on the keys is invalid" if not key else NO_MATCH)
        for attribute in self.keys:
            if attribute.kind not in key.get(attribute.name, ()):
                raise ValidationFailed(NO_MATCH)
        self._check_sizes(key)

    def check_item(self, item: Item) -> None:
        """Of an item to be put: it has its key. Raises ValidationFailed."""
        for attribute in self.keys:
            value = item.get(attribute.name)
            if value is None:
                raise ValidationFailed(
                    f"One or more parameter values were invalid: Missing the key {attribute.name} in the item"
                )
            if attribute.kind not in value:
                raise ValidationFailed(
                    f"One or more parameter values were invalid: Type mismatch for key {attribute.name} "
                    f"expected: {attribute.kind} actual: {next(iter(value))}"
                )
        self._check_sizes(item)

    def _check_sizes(self, item: Item) -> None:
        limits = (("hashkey", MAX_PARTITION_KEY_BYTES), ("rangekey", MAX_SORT_KEY_BYTES))
        for attribute, (what, limit) in zip(self.keys, limits, strict=False):
            size = len(sort_bytes(item[attribute.name]))
            if size == 0:
                kind = "string" if attribute.kind == "S" else "binary"
                raise ValidationFailed(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                    f"an empty {kind} value. Key: {attribute.name}"
                )
            if size > limit and attribute.kind != "N":
                raise ValidationFailed(
                    f"One or more parameter values were invalid: Size of {what} has exceeded the maximum size limit of"
                    f" {limit} bytes"
                )

    def place(self, item: Item) -> bytes:
        """Of an item or a key, both checked."""
        sort = b"" if self.range_key is None else sort_bytes(item[self.range_key.name])
        return self.partition(item[self.hash_key.name]) + sort

    def partition(self, value: Value) -> bytes:
        """What the places of a partition's items begin with."""
        key = sort_bytes(value)
        digest = hashlib.md5(key, usedforsecurity=False).digest()[:_HASH_BYTES]
        return digest + len(key).to_bytes(2, "big") + key

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self), default=tuple)  # named tuples are not written unasked

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        given: dict[str, Any] = orjson.loads(data)
        stream, range_key = given.pop("stream"), given.pop("range_key")
        if stream is not None:
            stream = ChangeStream(**{**stream, "keys": tuple((name, kind) for name, kind in stream["keys"])})
        return cls(
            **{**given, "hash_key": KeyAttribute(*given["hash_key"])},
            range_key=None if range_key is None else KeyAttribute(*range_key),
            stream=stream,
        )


def segment_of(place: bytes, segments: int) -> int:
    """Which of a parallel scan's segments a place belongs to: equal ranges of the hash."""
    return int.from_bytes(place[:_HASH_BYTES], "big") * segments >> 8 * _HASH_BYTES


def segment_start(segment: int, segments: int) -> bytes:
    """The first place of a segment."""
    return (-(-(segment << 8 * _HASH_BYTES) // segments)).to_bytes(_HASH_BYTES + 1, "big")[1:]


def after_prefix(prefix: bytes) -> bytes:
    """The first byte string behind all that begin with the prefix; b"": there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b""
