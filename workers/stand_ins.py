"""StandIns: placements of runtimes that this worker does not have but can serve with a near one.

They are taken only while no living worker has the exact runtime installed: a function must not run on one version now
and on another a moment later, as load moves it. Until the heartbeats agree, `x-priority` prefers the exact one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from hearth.broker import topology
from workers.delivery import Lane

_PRIORITY = {"x-priority": -1}


class StandIns:
    """served: the families that are not installed here."""

    def __init__(self, served: Iterable[str], wait_ms: int) -> None:
        self.served = frozenset(served)
        self._wait_ms = wait_ms
        self._lane: Lane | None = None
        self._on_placement: Callable[..., None]
        self._on_cancel: Callable[[], None]
        #: family -> consumer tag
        self._tags: dict[str, str] = {}
        self._following = asyncio.Lock()

    async def open(self, lane: Lane, on_placement: Callable[..., None], on_cancel: Callable[[], None]) -> None:
        """Consume on this channel from now on; `follow` says what."""
        async with self._following:
            self._lane, self._on_placement, self._on_cancel = lane, on_placement, on_cancel
            self._tags = {}

    async def follow(self, installed: frozenset[str]) -> None:
        """installed: the families that some living worker has. Raises what a channel raises."""
        async with self._following:
            lane = self._lane
            if lane is None or not lane.is_open:
                return
            due = self.served - installed
            for family in self._tags.keys() - due:
                await lane.channel.cancel(self._tags.pop(family))
            for family in sorted(due - self._tags.keys()):
                queue = await topology.declare_placement(lane.channel, family, self._wait_ms)
                self._tags[family] = await lane.channel.consume(
                    queue, self._on_placement, arguments=_PRIORITY, on_cancel=self._on_cancel
                )

    async def close(self) -> None:
        """Take no more placements. Raises what a channel raises."""
        await self.follow(self.served)
