"""A bounded buffer that is cheap to add to and is written out in a thread, a batch at a time.

Adding never waits and never fails. If the disk fails or is full, what could not be written stays in the buffer and
is tried again; past the bound the oldest items are dropped and counted, so the platform keeps running.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")

#: how long an item waits for company
FLUSH_S = 0.2
#: pause after a failed write
RETRY_S = 1.0
#: how long `close` tries to write what is left
CLOSE_S = 5.0
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class BatchWriter(Generic[Item]):
    """write(items): runs in the writer's thread, returns the items it could not write (kept and tried again).

    on_written(items): called in the event loop after each batch, with what reached the disk.
    on_dropped(item): called for each item given up, in the event loop.
    Make it inside a running event loop; the owner awaits `close`.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], list[Item]],
        *,
        name: str,
        limit_bytes: int,
        on_written: Callable[[Sequence[Item]], None] | None = None,
        on_dropped: Callable[[Item], None] | None = None,
        flush_s: float = FLUSH_S,
    ) -> None:
        self._write, self._name, self._limit, self._flush_s = write, name, limit_bytes, flush_s
        self._on_written, self._on_dropped = on_written, on_dropped
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        # Owned by this object: ended by `close`.
        self._task = asyncio.create_task(self._run(), name=name)

    def add(self, item: Item, size: int) -> None:
        if not self._items:
            self._wake.set()
        self._items.append((item, size))
        self._bytes += size
        if self._bytes > self._limit:
            self._drop()

    async def close(self) -> None:
        """Write what is left (for at most CLOSE_S) and end the thread. Idempotent."""
        self._closing.set()
        self._wake.set()
        done, _ = await asyncio.wait({self._task}, timeout=CLOSE_S)
        if not done:
            self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._items:
            log.error("batch lost", extra={"action": "batch_lost", "writer": self._name, "items": len(self._items)})
            self._items.clear()

    async def _run(self) -> None:
        while not (self._closing.is_set() and not self._items):
            await self._wake.wait()
            if not self._closing.is_set():
                await self._pause(self._flush_s)
            self._wake.clear()
            batch, self._items, self._bytes = list(self._items), deque(), 0
            left = await self._flush(batch)
            if left:
                self._keep(left)
                if self._closing.is_set():
                    return
                await self._pause(RETRY_S)

    async def _flush(self, batch: list[tuple[Item, int]]) -> list[tuple[Item, int]]:
        """What could not be written, with its sizes, in order."""
        if not batch:
            return []
        items = [item for item, _ in batch]
        left = await asyncio.get_running_loop().run_in_executor(self._thread, self._write, items)
        unwritten = {id(item) for item in left}
        if self._on_written is not None:
            self._on_written([item for item in items if id(item) not in unwritten] if left else items)
        return [entry for entry in batch if id(entry[0]) in unwritten] if left else []

    async def _pause(self, seconds: float) -> None:
        """Gather company; closing ends it at once."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    def _keep(self, left: list[tuple[Item, int]]) -> None:
        self._items.extendleft(reversed(left))
        self._bytes += sum(size for _, size in left)
        self._wake.set()
        if self._bytes > self._limit:
            self._drop()

    def _drop(self) -> None:
        # Down to three quarters at once, so that a full disk costs one pass now and then, not one per line.
        dropped = 0
        while self._items and self._bytes > self._limit * 3 // 4:
            item, size = self._items.popleft()
            self._bytes -= size
            dropped += 1
            if self._on_dropped is not None:
                self._on_dropped(item)
        log.error("batch dropped", extra={"action": "batch_dropped", "writer": self._name, "items": dropped})


def append_file(path: Path, data: bytes) -> None:
    """Append all of it or nothing: half a line must not stay in front of what is tried again.

    Directories are made anew if need be: a sweep may have removed one that was quiet for the retention.
    """
    try:
        fd = os.open(path, _APPEND, 0o640)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, _APPEND, 0o640)
    try:
        before = os.fstat(fd).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, before)
            raise
    finally:
        os.close(fd)
