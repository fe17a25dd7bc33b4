"""Subscriber: buffers events as its subscription asks and delivers them to its listener in the sandbox.

A delivery is tried again until it succeeds or the sandbox ends, and has no deadline: the sandbox may be frozen in the
middle. What comes meanwhile is bounded; past that it is dropped, counted, and the subscriber is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from socket import socket

import orjson

from hearth.clock import iso_time, now_ms
from workers.sandbox.telemetry.subscription import Subscription
from workers.sandbox.telemetry.wire import Undelivered, post, write_lines

#: kept beyond a full buffer, as a multiple of it
_KEPT = 4
_BACK_OFF_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Subscriber:
    """Make it in a running event loop; `end` it."""

    def __init__(self, subscription: Subscription, connect: Callable[[int], Awaitable[socket]]) -> None:
        self.subscription = subscription
        self._connect = connect
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._dropped_records = self._dropped_bytes = 0
        self._some, self._due = asyncio.Event(), asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stream: socket | None = None
        # Owned by this object: ended by `end`.
        self._task = asyncio.create_task(self._run(), name="telemetry")

    @property
    def pending(self) -> bool:
        return not self._idle.is_set()

    def add(self, event: bytes) -> None:
        subscription = self.subscription
        if self._bytes + len(event) > _KEPT * subscription.max_bytes or len(self._events) >= (
            _KEPT * subscription.max_items
        ):
            self._dropped_records += 1
            self._dropped_bytes += len(event)
            return
        self._events.append(event)
        self._bytes += len(event)
        self._idle.clear()
        self._some.set()
        if self._bytes >= subscription.max_bytes or len(self._events) >= subscription.max_items:
            self._due.set()

    def flush(self) -> None:
        if self._events:
            self._due.set()

    async def drained(self) -> None:
        await self._idle.wait()

    def end(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                await self._some.wait()
                try:
                    async with asyncio.timeout(self.subscription.timeout_ms / 1000):
                        await self._due.wait()
                except TimeoutError:
                    pass
                batch = self._take()
                await self._deliver(batch)
                if not self._events:
                    self._idle.set()
        finally:
            if self._stream is not None:
                self._stream.close()

    def _take(self) -> list[bytes]:
        """At most a full buffer, but at least one event."""
        batch: list[bytes] = []
        if self._dropped_records:
            batch.append(self._report_dropped())
        size = 0
        while self._events and len(batch) < self.subscription.max_items:
            if batch and size + len(self._events[0]) > self.subscription.max_bytes:
                break
            event = self._events.popleft()
            size += len(event)
            batch.append(event)
        self._bytes -= size
        if not self._events:
            self._some.clear()
            self._due.clear()
        return batch

    def _report_dropped(self) -> bytes:
        record = {
            "droppedBytes": self._dropped_bytes,
            "droppedRecords": self._dropped_records,
            "reason": "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.",
        }
        self._dropped_records = self._dropped_bytes = 0
        return orjson.dumps({"time": iso_time(now_ms()), "type": "platform.logsDropped", "record": record})

    async def _deliver(self, batch: list[bytes]) -> None:
        attempt = 0
        while True:
            try:
                if self.subscription.protocol == "HTTP":
                    await self._post(batch)
                else:
                    await self._write(batch)
                return
            except (OSError, Undelivered):
                await asyncio.sleep(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)])
                attempt += 1

    async def _post(self, batch: list[bytes]) -> None:
        stream = await self._connect(self.subscription.port)
        with stream:
            await post(stream, self.subscription.port, self.subscription.path, b"[" + b",".join(batch) + b"]")

    async def _write(self, batch: list[bytes]) -> None:
        if self._stream is None:
            self._stream = await self._connect(self.subscription.port)
        try:
            await write_lines(self._stream, batch)
        except OSError:
            self._stream.close()
            self._stream = None
            raise
