"""FunctionLog: one sandbox's log stream: what its processes print and what the platform says, in order.

Reads the pipe that carries stdout and stderr. One line is one event, and so is one frame: Python's client puts what
is logged into frames, on the same pipe, so that the order of the two is kept. The pipe is also read synchronously
(`drain`) when a response was posted, so that an invocation's log has everything printed before it.
Source: Lambda Developer Guide, "Working with function logs"; group and stream names as on AWS.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from hearth.clock import now_ms
from hearth.logs import GroupKey, LogWriter
from hearth.model.function import FunctionVersion

if TYPE_CHECKING:
    from workers.sandbox.telemetry import Telemetry

#: an event is split past this (CloudWatch Logs quota)
EVENT_LIMIT_BYTES = 256 << 10
#: LogType Tail
TAIL_BYTES = 4096
#: a pipe's capacity: two reads of it take all that was printed before, and are an end for a printing loop
_PIPE_BYTES = 64 << 10
_DRAIN_READS = 2
#: how a frame begins: a type of four bytes (level and format, which the message shows too), the message's length in
#: four, its time in eight. No UTF-8 text has these bytes
_FRAME = b"\xa5\x5a\x00"
_FRAME_HEAD_BYTES = 16
#: one read between other work of the worker
_READ_BYTES = 16 << 10
#: after a read that cost more than this, the sandbox's output waits for twice its cost: one that prints without end
#: gets a third of the worker's time at most (its own prints block meanwhile)
_COSTLY_S = 0.001
_LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 5, "CRITICAL": 5}
_INFO = _LEVELS["INFO"]
_HIGHEST = max(_LEVELS.values())


class FunctionLog:
    def __init__(self, version: FunctionVersion, writer: LogWriter) -> None:
        self._writer = writer
        self.key = GroupKey(version.account, version.region, version.log_group or f"/aws/lambda/{version.name}")
        self.stream = _stream_name(version)
        #: a JSON function's own lines below its ApplicationLogLevel are left out
        self._json = version.log_format == "JSON"
        self._python = version.runtime.startswith("python")
        self._least = _LEVELS.get(version.app_log_level, _INFO) if self._json else 0
        #: what its processes print goes there too, while somebody listens
        self.telemetry: Telemetry | None = None
        self._fd = -1
        self._resume: asyncio.TimerHandle | None = None
        self._partial = b""
        #: of the frame that is being read, so much is yet to be told; 0: outside of frames
        self._framed = 0
        self._tail: bytearray | None = None

    # --- the pipe -------------------------------------------------------------------------------------------
    def attach(self, output_fd: int) -> None:
        """Read this pipe until `detach`; it stays its owner's to close."""
        self._fd = output_fd
        self._listen()

    def detach(self) -> None:
        """Take what is left and let go of the pipe. Idempotent."""
        self.drain()
        if self._framed and self._partial:  # who wrote it was killed in the middle
            self._emit_output(self._partial, now_ms())
        self._partial, self._framed = b"", 0
        self._let_go()
        self.telemetry = None

    def drain(self) -> None:
        """Take everything that is in the pipe now, an unfinished line included; a frame is left to be finished."""
        for _ in range(_DRAIN_READS):
            if not self._read(_PIPE_BYTES):
                break
        if self._partial and not self._framed and not self._partial.startswith(_FRAME):
            self._emit_output(self._partial, now_ms())
            self._partial = b""

    def _let_go(self) -> None:
        if self._fd < 0:
            return
        asyncio.get_running_loop().remove_reader(self._fd)
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._fd = -1

    def _readable(self) -> None:
        began_s = time.monotonic()
        self._read(_READ_BYTES)
        cost_s = time.monotonic() - began_s
        if cost_s > _COSTLY_S and self._fd >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._fd)
            self._resume = loop.call_later(2 * cost_s, self._listen)

    def _listen(self) -> None:
        self._resume = None
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _read(self, size: int) -> bool:
        """One read; False if there is nothing (any more)."""
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return False
        if not data:
            self._let_go()
            return False
        self._split(data)
        return True

    def _split(self, data: bytes) -> None:
        t_ms = now_ms()
        rest = self._partial + data if self._partial else data
        while self._python:
            if self._framed:
                rest = self._take_framed(rest, t_ms)
                if self._framed:
                    self._partial = rest
                    return
            before, mark, after = rest.partition(_FRAME)
            if not mark:
                break
            if unfinished := self._take_lines(before, t_ms):
                self._emit_output(unfinished, t_ms)
            rest = mark + after
            if len(rest) < _FRAME_HEAD_BYTES:
                self._partial = rest
                return
            self._framed, rest = int.from_bytes(rest[4:8], "big"), rest[_FRAME_HEAD_BYTES:]
        self._partial = self._take_lines(rest, t_ms)

    def _take_lines(self, data: bytes, t_ms: int) -> bytes:
        """What is left of it: a line that has not ended."""
        *lines, partial = data.split(b"\n")
        for line in lines:
            self._emit_output(line, t_ms)
        while len(partial) > EVENT_LIMIT_BYTES:
            cut = _character_start(partial, EVENT_LIMIT_BYTES)
            self._emit_output(partial[:cut], t_ms)
            partial = partial[cut:]
        return partial

    def _take_framed(self, data: bytes, t_ms: int) -> bytes:
        """What is left of it: what follows the frame, or the part of its message that has come, of at most an event's
        size: a length that is a lie must not fill the memory."""
        while self._framed:
            if len(data) >= self._framed:
                cut = self._framed
            elif len(data) > EVENT_LIMIT_BYTES:
                cut = _character_start(data, EVENT_LIMIT_BYTES)
            else:
                break
            self._emit_output(data[:cut].removesuffix(b"\n"), t_ms)
            self._framed, data = self._framed - cut, data[cut:]
        return data

    def _emit_output(self, line: bytes, t_ms: int) -> None:
        if self._least and line.startswith(b"{") and _level(line) < self._least:
            return
        while len(line) > EVENT_LIMIT_BYTES:
            cut = _character_start(line, EVENT_LIMIT_BYTES)
            self._append(line[:cut].decode("utf-8", "replace"), t_ms)
            line = line[cut:]
        line = line.rstrip(b"\r")
        # Runtime clients that have no frames join the lines of one event by CR; in Python a function printed it.
        if not self._python:
            line = line.replace(b"\r", b"\n")
        text = line.decode("utf-8", "replace")
        self._append(text + "\n", t_ms)
        if self.telemetry is not None and self.telemetry.enabled:
            self.telemetry.line("function", text, t_ms, parse=self._json)

    # --- the platform ---------------------------------------------------------------------------------------
    def platform(self, message: str) -> None:
        """A line of the platform's own, its newline included; "" is none."""
        if message:
            self._append(message, now_ms())

    def extension(self, line: str) -> None:
        """What an external extension printed."""
        t_ms = now_ms()
        text = line[:EVENT_LIMIT_BYTES]
        self._append(text + "\n", t_ms)
        if self.telemetry is not None and self.telemetry.enabled:
            self.telemetry.line("extension", text, t_ms, parse=self._json)

    def begin_tail(self) -> None:
        self._tail = bytearray()

    def take_tail(self) -> bytes:
        """The last TAIL_BYTES since `begin_tail`, whole characters only; b"" without it."""
        if self._tail is None:
            return b""
        tail, self._tail = bytes(self._tail), None
        start = max(0, len(tail) - TAIL_BYTES)
        while start < len(tail) and tail[start] & 0xC0 == 0x80:
            start += 1
        return tail[start:]

    def _append(self, message: str, t_ms: int) -> None:
        self._writer.append(self.key, self.stream, t_ms, message)
        if self._tail is not None:
            self._tail += message.encode("utf-8", "replace")
            if len(self._tail) > 16 * TAIL_BYTES:
                del self._tail[: -2 * TAIL_BYTES]


def _stream_name(version: FunctionVersion) -> str:
    day = datetime.now(UTC).strftime("%Y/%m/%d")
    custom = version.log_group not in ("", f"/aws/lambda/{version.name}")
    return f"{day}/{version.name if custom else ''}[{version.version}]{uuid.uuid4().hex}"


def _character_start(data: bytes, at: int) -> int:
    """The last position up to `at` that does not cut a UTF-8 character."""
    start = at
    while start > at - 4 and data[start] & 0xC0 == 0x80:
        start -= 1
    return start if data[start] & 0xC0 != 0x80 else at


def _level(line: bytes) -> int:
    """Of a JSON object that says its level; a line that says none is kept at any."""
    try:
        level = orjson.loads(line).get("level")
    except orjson.JSONDecodeError:
        return _HIGHEST
    return _LEVELS.get(level.upper(), _HIGHEST) if isinstance(level, str) else _HIGHEST
