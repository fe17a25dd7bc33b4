"""One write at a time to an item, within this process."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator


class ItemTurns:
    """Of all items that are being written; an item's lock goes with its last holder."""

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[tuple[str, bytes], asyncio.Lock] = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def of(self, table_arn: str, place: bytes) -> AsyncIterator[None]:
        lock = self._locks.get((table_arn, place))
        if lock is None:
            lock = self._locks[table_arn, place] = asyncio.Lock()
        async with lock:
            yield
