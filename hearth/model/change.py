"""Change records of a table, and the streams they lie in. No I/O.

A stream is one shard: one log, opened with the stream and closed when it is disabled; it stays readable for 24 hours.
A record lies under an entry id, (ms of the change, number within the ms), which only grows; its sequence number is the
same thing written as one number, so that each gives the other.
Source: DynamoDB Streams API reference; records as recorded from AWS.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from hearth.model.attribute_value import Item, item_bytes
from hearth.model.stream import EntryId

KEYS_ONLY, NEW_IMAGE, OLD_IMAGE, BOTH = "KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"
INSERT, MODIFY, REMOVE = "INSERT", "MODIFY", "REMOVE"
RETENTION_MS = 24 * 3_600_000
#: digits of the number within the ms in a sequence number, which has 24 until the year 2286
_WITHIN = 10**11
_LAST_WITHIN = _WITHIN - 1
STREAM_ARN = re.compile(
    r"arn:aws[a-z-]*:dynamodb:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):table/(?P<table>[A-Za-z0-9_.-]+)"
    r"/stream/(?P<label>[0-9T:.-]+)"
)


def sequence_number(entry: EntryId) -> str:
    return str(entry.ms * _WITHIN + min(entry.number, _LAST_WITHIN)).zfill(21)


def entry_of(number: str) -> EntryId:
    """Raises ValueError."""
    if not number.isascii() or not number.isdigit():
        raise ValueError(f"no sequence number: {number}")
    return EntryId(*divmod(int(number), _WITHIN))


@dataclass(frozen=True, slots=True)
class ChangeStream:
    """keys: (attribute, HASH or RANGE) of the table. disabled_at_ms 0: it is enabled."""

    account: str
    region: str
    table: str
    label: str
    created_at_ms: int
    view: str
    keys: tuple[tuple[str, str], ...]
    disabled_at_ms: int = 0

    @classmethod
    def opened(
        cls, account: str, region: str, table: str, view: str, keys: tuple[tuple[str, str], ...], now_ms: int
    ) -> Self:
        label = f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}"
        return cls(account, region, table, label, now_ms, view, keys)

    def closed(self, now_ms: int) -> ChangeStream:
        return replace(self, disabled_at_ms=now_ms)

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.table}/stream/{self.label}"

    @property
    def enabled(self) -> bool:
        return not self.disabled_at_ms

    @property
    def shard_id(self) -> str:
        """Its only shard."""
        return f"shardId-{self.created_at_ms:020d}-{hashlib.sha256(self.arn.encode()).hexdigest()[:8]}"

    @property
    def starting_sequence_number(self) -> str:
        return sequence_number(EntryId(self.created_at_ms, 0))

    @property
    def ending_sequence_number(self) -> str | None:
        """None while it is enabled."""
        return None if self.enabled else sequence_number(EntryId(self.disabled_at_ms, _LAST_WITHIN))

    def expired(self, now_ms: int) -> bool:
        """Disabled so long ago that nothing of it can be read any more."""
        return not self.enabled and self.disabled_at_ms <= horizon_ms(now_ms)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        given: dict[str, Any] = orjson.loads(data)
        return cls(**{**given, "keys": tuple((name, kind) for name, kind in given["keys"])})


@dataclass(frozen=True, slots=True)
class Change:
    """`entry.ms`: when it was made, epoch ms. Images are None where the stream's view or the kind has none."""

    entry: EntryId
    name: str
    keys: Item
    new_image: Item | None
    old_image: Item | None

    @classmethod
    def read(cls, entry: EntryId, fields: Mapping[bytes, bytes], view: str) -> Self:
        """Of a log's entry: `e` INSERT, MODIFY or REMOVE; `k` keys, `n` new image, `o` old image as JSON.

        Writers may leave more than the view shows; it is not shown.
        """

        def image(field: bytes, views: tuple[str, str]) -> Item | None:
            found = fields.get(field) if view in views else None
            return orjson.loads(found) if found else None

        name = fields[b"e"].decode()
        return cls(
            entry,
            name,
            orjson.loads(fields[b"k"]),
            image(b"n", (NEW_IMAGE, BOTH)) if name != REMOVE else None,
            image(b"o", (OLD_IMAGE, BOTH)) if name != INSERT else None,
        )

    @property
    def sequence_number(self) -> str:
        return sequence_number(self.entry)

    @property
    def _images(self) -> dict[str, Item]:
        images = {"Keys": self.keys, "NewImage": self.new_image, "OldImage": self.old_image}
        return {name: image for name, image in images.items() if image is not None}

    @property
    def size_bytes(self) -> int:
        return sum(map(item_bytes, self._images.values()))

    def record(self, stream: ChangeStream) -> dict[str, Any]:
        """As GetRecords answers it; a function's event has `eventSourceARN` besides."""
        return {
            "eventID": hashlib.md5(f"{stream.arn}{self.entry}".encode(), usedforsecurity=False).hexdigest(),
            "eventName": self.name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": stream.region,
            "dynamodb": {
                # whole seconds, written with a point: recorded from AWS
                "ApproximateCreationDateTime": float(self.entry.ms // 1000),
                **self._images,
                "SequenceNumber": self.sequence_number,
                "SizeBytes": self.size_bytes,
                "StreamViewType": stream.view,
            },
        }


def horizon_ms(now_ms: int) -> int:
    """Changes that were made before this are trimmed."""
    return now_ms - RETENTION_MS
