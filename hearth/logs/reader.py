"""LogReader: groups, streams and events of the segment files that the workers write (hearth.logs.writer).

It reads files and blocks: an event loop calls it in a thread. The files may grow, appear and go while it reads.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import orjson

from hearth.logs import layout
from hearth.logs.groups import made_ms

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class LogGroup:
    name: str
    #: when it was made by hand, else of its oldest kept event
    created_ms: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class LogStream:
    name: str
    created_ms: int
    first_ms: int
    last_ms: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class LogEvent:
    t_ms: int
    message: str
    #: equal to t_ms: events are stamped when the platform reads them
    ingested_ms: int
    stream: str


class LogReader:
    def __init__(self, root: Path) -> None:
        """root: the blob root (`Settings.blobs_dir`)."""
        self._root = root

    def groups(self, account: str, region: str, prefix: str = "") -> list[LogGroup]:
        """By name."""
        found = []
        for name, directory in layout.names_below(layout.region_dir(self._root, account, region)):
            if name.startswith(prefix) and (group := _group(name, directory)) is not None:
                found.append(group)
        return sorted(found, key=attrgetter("name"))

    def streams(self, account: str, region: str, group: str) -> list[LogStream]:
        """By name; empty if there is no such group."""
        directory = layout.group_dir(self._root, account, region, group)
        found = (_stream(name, path) for name, path in layout.names_below(directory))
        return sorted((stream for stream in found if stream is not None), key=attrgetter("name"))

    def events(
        self,
        account: str,
        region: str,
        group: str,
        stream: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> Iterator[LogEvent]:
        """Ordered by time, then as written. start_ms is included, end_ms is not (FilterLogEvents, GetLogEvents).

        stream None: all streams of the group, merged.
        """
        directory = layout.group_dir(self._root, account, region, group)
        if stream is None:
            streams = sorted(layout.names_below(directory))
        else:
            streams = [(stream, layout.stream_dir(self._root, account, region, group, stream))]
        sources = [_stream_events(name, path, start_ms, end_ms) for name, path in streams]
        return heapq.merge(*sources, key=attrgetter("t_ms"))


def _group(name: str, directory: Path) -> LogGroup | None:
    made = made_ms(directory)
    created, stored = [] if made is None else [made], 0
    for _, path in layout.names_below(directory):
        parts = layout.segments(path)
        created += [first for first, _ in parts[:1]]
        stored += sum(_size(part) or 0 for _, part in parts)
    return LogGroup(name, min(created), stored) if created else None


def _stream(name: str, directory: Path) -> LogStream | None:
    parts = layout.segments(directory)
    sizes = [size for _, path in parts if (size := _size(path)) is not None]
    if not sizes:
        return None
    first = parts[0][0]
    last = max(_last_ms(path, start) for start, path in parts[-2:])
    return LogStream(name, first, first, last, sum(sizes))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _last_ms(path: Path, start: int) -> int:
    """Time of a segment's last whole line, from its tail alone; the segment's start if a line fills the tail."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return start
    for line in reversed(lines):
        if (parsed := _parse(line)) is not None:
            return parsed[0]
    return start


def _stream_events(name: str, directory: Path, start_ms: int | None, end_ms: int | None) -> Iterator[LogEvent]:
    """A segment at a time (at most SEGMENT_BYTES in memory). Segments of one stream do not overlap in time: a
    stream belongs to one sandbox, so to one writer."""
    for first, path in layout.segments(directory):
        if end_ms is not None and first >= end_ms:
            return
        yield from _segment_events(name, path, start_ms, end_ms)


def _segment_events(name: str, path: Path, start_ms: int | None, end_ms: int | None) -> Iterator[LogEvent]:
    try:
        # Cheap skip: no event is younger than the file's last change.
        if start_ms is not None and path.stat().st_mtime_ns // 1_000_000 + 1 < start_ms:
            return
        data = path.read_bytes()
    except FileNotFoundError:
        return
    parsed = [event for line in data.splitlines() if (event := _parse(line)) is not None]
    # The wall clock may have been set back between two lines.
    for t_ms, message in sorted(parsed, key=lambda event: event[0]):
        if (start_ms is None or t_ms >= start_ms) and (end_ms is None or t_ms < end_ms):
            yield LogEvent(t_ms, message, t_ms, name)


def _parse(line: bytes) -> tuple[int, str] | None:
    """None for a line that is being written at this moment, or was cut by a crash."""
    try:
        raw = orjson.loads(line)
        return int(raw["t"]), str(raw["m"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
