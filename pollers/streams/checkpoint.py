"""A shard's checkpoints on their way to `state`: one at a time, each with the progress of all lanes at its moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

#: a checkpoint that only passes over records which nobody wants
LAZY_S = 1.0

Fields = dict[str, str | bytes]


class Checkpointing:
    def __init__(self, snapshot: Callable[[], Fields], write: Callable[[Fields], Awaitable[None]]) -> None:
        """snapshot: all that is to be durable, as it is now. write: makes what has changed of it durable."""
        self._snapshot = snapshot
        self._write = write
        self._one = asyncio.Lock()
        #: checkpoints asked for, and those of them that are durable
        self._asked, self._durable = 0, 0
        self._written: Fields = {}
        self._written_s = 0.0

    async def commit(self) -> None:
        """Returns when what was done before the call is durable. Those who call meanwhile share the next one.

        Raises what `write` raises.
        """
        self._asked += 1
        mine = self._asked
        async with self._one:
            if self._durable >= mine:
                return
            asked, fields = self._asked, self._snapshot()
            changed = {name: value for name, value in fields.items() if self._written.get(name) != value}
            if changed:
                await self._write(changed)
            self._durable, self._written, self._written_s = asked, fields, time.monotonic()

    async def commit_lazily(self) -> None:
        """`commit`, unless the last one was just now."""
        if time.monotonic() - self._written_s >= LAZY_S:
            await self.commit()
