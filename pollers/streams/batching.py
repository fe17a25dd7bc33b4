"""When what waits in a lane becomes a batch: enough records, enough bytes, waited long enough, or a window's end. Pure.

Source: Lambda Developer Guide, batching behavior.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pollers.streams.source import SourceRecord


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """most_bytes: of the records' JSON with what closes each (each_bytes) and parts it from the next."""

    records: int
    window_s: float
    most_bytes: int
    each_bytes: int = 0


class Batcher:
    """Records of one lane, in order. tumbling: the start of the tumbling window in which something arrived; batches
    never span two."""

    def __init__(self, limits: BatchLimits, tumbling: Callable[[int], int] | None = None) -> None:
        self._limits = limits
        self._tumbling = tumbling
        self._later: deque[tuple[SourceRecord, float]] = deque()
        #: the next batch as far as it has come
        self._growing: list[SourceRecord] = []
        self._size = 0
        self._since_s = 0.0
        #: bytes of all that waits
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._growing) + len(self._later)

    @property
    def first(self) -> SourceRecord | None:
        if self._growing:
            return self._growing[0]
        return self._later[0][0] if self._later else None

    def add(self, record: SourceRecord, at_s: float) -> None:
        """at_s: now, on a clock that never goes back."""
        self._later.append((record, at_s))
        self.bytes += len(record.head)

    def take(self, now_s: float, *, last: bool = False) -> list[SourceRecord] | None:
        """The next batch, if there is one. last: nothing more is going to come."""
        while self._later:
            record, at_s = self._later[0]
            if self._closed_before(record):
                return self._cut()
            self._later.popleft()
            if not self._growing:
                self._since_s = at_s
            self._growing.append(record)
            self._size += len(record.head) + self._limits.each_bytes
        full = len(self._growing) >= self._limits.records
        due = self._growing and now_s >= self._since_s + self._limits.window_s
        return self._cut() if full or due or (last and self._growing) else None

    def due_s(self) -> float | None:
        """When what waits becomes a batch without another record; None: nothing waits. After a `take` without one."""
        return self._since_s + self._limits.window_s if self._growing else None

    def _closed_before(self, record: SourceRecord) -> bool:
        if not self._growing:
            return False
        if len(self._growing) >= self._limits.records:
            return True
        if self._size + len(record.head) + self._limits.each_bytes > self._limits.most_bytes:
            return True
        of = self._tumbling
        return of is not None and of(record.arrival_ms) != of(self._growing[0].arrival_ms)

    def _cut(self) -> list[SourceRecord]:
        batch, self._growing = self._growing, []
        self._size = 0
        self.bytes -= sum(len(record.head) for record in batch)
        return batch


def lane_of(key: bytes, lanes: int) -> int:
    """The same in every process and version: a checkpoint remembers how far each lane has come."""
    return zlib.crc32(key) % lanes if lanes > 1 else 0
