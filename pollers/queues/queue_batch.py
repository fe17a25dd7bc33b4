"""A batch of messages of a queue on its way to one event, and how many batches a queue may have at once. Pure.

Source: Lambda Developer Guide, "Batching behavior" and "Scaling and processing" of SQS event source mappings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

M = TypeVar("M")


@dataclass(slots=True)
class QueueBatch(Generic[M]):
    """Messages and their records, encoded once, up to a number and up to the bytes of an event.

    head, tail: what the event has before and after its records. A record that is larger than an event goes alone.
    """

    head: bytes
    tail: bytes
    most: int
    most_bytes: int
    messages: list[M] = field(default_factory=list)
    _records: list[bytes] = field(default_factory=list)
    _bytes: int = 0

    @property
    def room(self) -> int:
        """Messages that it still takes, their size aside."""
        return self.most - len(self.messages)

    def takes(self, record: bytes) -> bool:
        if not self.messages:
            return True
        size = len(self.head) + len(self.tail) + self._bytes + len(self.messages) + len(record)
        return self.room > 0 and size <= self.most_bytes

    def add(self, message: M, record: bytes) -> None:
        self.messages.append(message)
        self._records.append(record)
        self._bytes += len(record)

    def payload(self) -> bytes:
        return self.head + b",".join(self._records) + self.tail

    def empty_copy(self) -> QueueBatch[M]:
        return QueueBatch(self.head, self.tail, self.most, self.most_bytes)


@dataclass(slots=True)
class Concurrency:
    """How many batches may run at once: a few at first, more while all of them are in use, fewer when throttled.

    most: never more. growth_per_s: more of them for each second in which all were in use.
    """

    most: int
    first: int = 5
    growth_per_s: float = 5.0
    _limit: float = 0.0
    _at_s: float | None = None

    def __post_init__(self) -> None:
        self._limit = min(self.first, self.most)

    @property
    def limit(self) -> int:
        return int(self._limit)

    def in_use(self, running: int, now_s: float) -> None:
        """Told whenever a batch wants to start or has ended."""
        if running < self.limit:
            self._at_s = None
            return
        if self._at_s is not None:
            self._limit = min(self.most, self._limit + (now_s - self._at_s) * self.growth_per_s)
        self._at_s = now_s

    def throttled(self, running: int) -> None:
        """The function had no concurrency for a batch: no more than the others that run."""
        self._limit = max(1, min(self._limit, running - 1))
        self._at_s = None

    def idle(self) -> None:
        """Nothing came and nothing runs: as at first."""
        self.__post_init__()
        self._at_s = None


def chunks(items: list[M], size: int) -> Iterator[list[M]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
