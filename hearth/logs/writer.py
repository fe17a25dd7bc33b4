"""LogWriter: what functions print and what the platform says about them, to segment files.

Never in the way of an invocation: `append` only puts a tuple into a buffer (see hearth.logs.batch).
Line format: {"t": epoch ms, "m": message}. A segment is closed after SEGMENT_BYTES; its name carries the writer's
id, so several workers can write the same group.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from hearth.clock import now_ms
from hearth.logs import layout
from hearth.logs.batch import FLUSH_S, BatchWriter, append_file
from hearth.logs.retention import sweep

log = logging.getLogger(__name__)

SEGMENT_BYTES = 8 << 20
#: unwritten messages kept in memory while the disk fails
LIMIT_BYTES = 64 << 20
#: streams whose current segment is remembered; a forgotten one goes on in a new segment
_OPEN_STREAMS = 4096
_SWEEP_S = 3600.0
#: added to a message's length: the tuple, the buffer's slot
_OVERHEAD_BYTES = 160


class GroupKey(NamedTuple):
    account: str
    region: str
    group: str


class _Entry(NamedTuple):
    key: GroupKey
    stream: str
    t_ms: int
    message: str


@dataclass(slots=True)
class _Segment:
    path: Path
    size: int = 0


#: account, region, group, [(stream, epoch ms, message)]
OnBatch = Callable[[str, str, str, list[tuple[str, int, str]]], None]


class LogWriter:
    """Make it inside a running event loop; `close` flushes.

    on_batch: called in the event loop after each batch that reached the disk, for the live tail.
    retention_days: segments not written to for so long are deleted, now and every hour; None: never.
    """

    def __init__(
        self,
        root: Path,
        *,
        writer_id: str | None = None,
        on_batch: OnBatch | None = None,
        retention_days: int | None = None,
        flush_s: float = FLUSH_S,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._root, self._on_batch = root, on_batch
        self._id = writer_id or uuid.uuid4().hex[:12]
        self._segments: OrderedDict[tuple[GroupKey, str], _Segment] = OrderedDict()
        self._dropped: Counter[tuple[GroupKey, str]] = Counter()
        self._failing = False
        self._batches: BatchWriter[_Entry] = BatchWriter(
            self._write,
            name="function-logs",
            limit_bytes=limit_bytes,
            on_written=self._written,
            on_dropped=self._drop,
            flush_s=flush_s,
        )
        # Owned by this object: ended by `close`.
        self._sweeper = asyncio.create_task(self._sweep(retention_days)) if retention_days else None

    def append(self, key: GroupKey, stream: str, t_ms: int, message: str) -> None:
        self._batches.add(_Entry(key, stream, t_ms, message), len(message) + _OVERHEAD_BYTES)

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._batches.close()

    # --- in the writer's thread -----------------------------------------------------------------------------
    def _write(self, entries: Sequence[_Entry]) -> list[_Entry]:
        streams: dict[tuple[GroupKey, str], list[_Entry]] = {}
        for entry in entries:
            streams.setdefault((entry.key, entry.stream), []).append(entry)
        unwritten: list[_Entry] = []
        failure: OSError | None = None
        for where, lines in streams.items():
            try:
                self._write_stream(where, lines)
            except OSError as exc:
                failure = exc
                unwritten += lines
        if failure is not None and not self._failing:
            log.error("logs not written", extra={"action": "logs_failing", "reason": str(failure)})
        self._failing = failure is not None
        return unwritten

    def _write_stream(self, where: tuple[GroupKey, str], entries: list[_Entry]) -> None:
        segment = self._segment(where, entries[0].t_ms)
        data = b"".join(_line(entry.t_ms, entry.message) for entry in entries)
        append_file(segment.path, data)
        segment.size += len(data)

    def _segment(self, where: tuple[GroupKey, str], t_ms: int) -> _Segment:
        segment = self._segments.get(where)
        if segment is None or segment.size >= SEGMENT_BYTES:
            (account, region, group), stream = where
            directory = layout.stream_dir(self._root, account, region, group, stream)
            segment = _Segment(directory / f"{t_ms}-{self._id}{layout.SUFFIX}")
            self._segments[where] = segment
            while len(self._segments) > _OPEN_STREAMS:
                self._segments.popitem(last=False)
        self._segments.move_to_end(where)
        return segment

    # --- in the event loop ----------------------------------------------------------------------------------
    def _drop(self, entry: _Entry) -> None:
        self._dropped[entry.key, entry.stream] += 1

    def _written(self, entries: Sequence[_Entry]) -> None:
        if not entries:
            return
        if self._dropped:
            # The disk takes lines again: say in each stream what is missing from it.
            dropped, self._dropped = self._dropped, Counter()
            for (key, stream), count in dropped.items():
                self.append(key, stream, now_ms(), f"LOGS_DROPPED Dropped Records: {count} Reason: disk not writable\n")
        if self._on_batch is not None:
            groups: dict[GroupKey, list[tuple[str, int, str]]] = {}
            for key, stream, t_ms, message in entries:
                groups.setdefault(key, []).append((stream, t_ms, message))
            for key, lines in groups.items():
                self._on_batch(*key, lines)

    async def _sweep(self, days: int) -> None:
        while True:
            await asyncio.to_thread(sweep, self._root, days)
            await asyncio.sleep(_SWEEP_S)


def _line(t_ms: int, message: str) -> bytes:
    return orjson.dumps({"t": t_ms, "m": message}, option=orjson.OPT_APPEND_NEWLINE)
