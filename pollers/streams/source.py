"""The seam to a stream, wherever it is: its shards and their lineage, positions in them, records from a position on.

A position is a text that only its source reads, durable in a checkpoint. A record's `order` grows along its shard and
never changes, so that records that come again are known. One kind of source, one file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hearth.errors import HearthError

TRIM_HORIZON, LATEST, AT_TIMESTAMP = "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"
#: of what one read asks for
READ_BYTES = 6 * 2**20
MOST_RECORDS = 500


class SourceGone(HearthError):
    """There is no such stream, or no such shard of it, any more."""


class SourceReplaced(SourceGone):
    """There is one of its name again, with shards and records of its own: nothing of the former can be read."""


@dataclass(frozen=True, slots=True)
class SourceShard:
    """parents: ids of the shards it was split off or merged from, whether they are still listed or not."""

    id: str
    parents: tuple[str, ...] = ()
    open: bool = True


class SourceRecord(NamedTuple):
    """head: the record as functions see it, JSON without its last brace (`StreamSource.tail` closes it)."""

    order: int
    sequence_number: str
    #: records of one key are never overtaken by one another
    key: bytes
    #: epoch ms
    arrival_ms: int
    head: bytes


class Page(NamedTuple):
    """following: the position after the records. at_end: the shard is closed and nothing comes after them. at_tip:
    nothing was there to be read any more. beside: the hash that the source was to read after the records had come;
    None: it did not."""

    records: Sequence[SourceRecord]
    following: str
    at_end: bool = False
    at_tip: bool = False
    beside: Mapping[bytes, bytes] | None = None


class StreamSource(Protocol):
    """Every method raises HearthError when the stream's server does not answer, SourceGone when there is none."""

    #: member of a failure record that tells the batch
    batch_member: str
    #: arrival times in failure records have whole seconds
    whole_seconds: bool

    async def incarnation(self) -> str:
        """Differs between streams that had the name one after the other; empty if the name alone tells the stream,
        or if its server does not tell."""
        ...

    async def shards(self) -> list[SourceShard]:
        """All that are listed, parents before their children."""
        ...

    async def start(self, shard_id: str, kind: str, at_ms: int = 0) -> str:
        """The position that TRIM_HORIZON, LATEST (as of now) or AT_TIMESTAMP (epoch ms) means in the shard."""
        ...

    async def read(self, shard_id: str, position: str, count: int, most_s: float = 0.0) -> Page:
        """Up to `count` records from the position on; what has expired is passed over. When there is nothing: what
        comes first within about so many seconds."""
        ...

    async def clock_ms(self) -> int:
        """A time before which nothing arrives any more: what a later read does not find has come after it."""
        ...

    def at(self, record: SourceRecord) -> str:
        """The position from which this record is the first."""
        ...

    def at_sequence(self, number: str) -> str:
        """The position of the record with that sequence number. Raises ValueError."""
        ...

    def tail(self, role: str) -> bytes:
        """What closes each record of an event for a function with this role."""
        ...

    async def retention_ms(self) -> int:
        """How long records stay after their arrival."""
        ...
