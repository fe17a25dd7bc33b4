"""A sandbox as the pool sees it: its consumer on the version's queue, and what it is doing."""

from __future__ import annotations

import asyncio
import time

from workers.delivery import Delivery, Lane
from workers.sandbox.sandbox import Sandbox

#: more than a worker has sandboxes
PROVISIONED_PRIORITY = 100_000


class Member:
    """One sandbox of a version. Exactly one task serves it; others hand it deliveries through `give`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        #: place among the version's sandboxes here: low ones stay hot, so that the tail can be reaped
        self.index = 0
        self.lane: Lane | None = None
        self.tag = ""
        #: of the queue it consumes
        self.epoch = 0
        #: held while its consumer is being made: one at a time
        self.attaching = asyncio.Lock()
        self.busy_with: Delivery | None = None
        self.retiring = False
        #: it is one too many and ends when it falls idle
        self.surplus = False
        #: its consumer has ended: no request will come for it by itself
        self.detached = False
        #: resolved when its processes have ended and its slot is free
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.born_s = self.idle_since_s = time.monotonic()
        self._wake: asyncio.Future[Delivery | None] | None = None

    @property
    def provisioned(self) -> bool:
        """It is kept, initialised, whether or not requests come."""
        return self.sandbox.provisioned

    @property
    def priority(self) -> int:
        """Of its consumer: provisioned sandboxes first, then low indexes."""
        return (PROVISIONED_PRIORITY if self.provisioned else 0) - self.index

    def consumes(self, epoch: int) -> bool:
        """Whether it has a living consumer on the queue of this epoch."""
        return self.lane is not None and self.lane.is_open and bool(self.tag) and self.epoch == epoch

    @property
    def idle(self) -> bool:
        return self._wake is not None and not self._wake.done()

    def give(self, delivery: Delivery | None) -> None:
        """Hand the idle member its next request; None ends its service."""
        assert self._wake is not None
        self.busy_with = delivery
        self._wake.set_result(delivery)

    async def next_delivery(self) -> Delivery | None:
        """Wait for work; no deadline: idle life is the reaper's business."""
        self.busy_with = None
        self.idle_since_s = time.monotonic()
        self._wake = asyncio.get_running_loop().create_future()
        try:
            return await self._wake
        finally:
            self._wake = None
