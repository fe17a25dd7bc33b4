"""While requests wait for a sandbox: those that waited too long are answered, others are offered to other hosts."""

from __future__ import annotations

import asyncio
import time

from hearth.clock import now_ms
from hearth.model.invocation import InvocationResult, Outcome
from workers import placement
from workers.delivery import Delivery
from workers.hand_back import ELECTION_S, HandBack
from workers.pool import Pool
from workers.version_pool import VersionPool

WATCH_S = 0.025


class WaitingWatch:
    """`run` is its life.

    placement_wait_s: the longest wait for room. workers: the fleet's living ones, kept true by the heartbeat.
    longest_wait_s: of a request for which no sandbox starts, since the last heartbeat.
    """

    def __init__(self, pool: Pool, hand_back: HandBack, tasks: asyncio.TaskGroup, *, placement_wait_s: float) -> None:
        self._pool = pool
        self._hand_back = hand_back
        self._tasks = tasks
        self._placement_wait_s = placement_wait_s
        self.workers = 1
        self.longest_wait_s = 0.0
        #: monotonic time of the last death of a broker node
        self.node_lost_s = float("-inf")

    async def run(self) -> None:
        pool = self._pool
        while True:
            await pool.has_waiting.wait()  # no deadline: nothing to do until then
            await asyncio.sleep(WATCH_S)
            for version_pool in list(pool.versions.values()):
                for delivery in list(version_pool.waiting)[version_pool.starting :]:
                    self._reconsider(version_pool, delivery)
            if not pool.waiting:
                pool.has_waiting.clear()

    def _reconsider(self, version_pool: VersionPool, delivery: Delivery) -> None:
        held_s = time.monotonic() - delivery.received_s
        waited_s = (now_ms() - delivery.invocation.placed_at_ms) / 1000 if delivery.placed else held_s
        self.longest_wait_s = max(self.longest_wait_s, waited_s)
        if waited_s > self._placement_wait_s:
            version_pool.waiting.remove(delivery)
            delivery.answer(InvocationResult(Outcome.THROTTLED, detail="ConcurrentInvocationLimitExceeded"))
        elif time.monotonic() < self.node_lost_s + ELECTION_S:
            return  # publishes to a queue without a leader are stuck for long; a sandbox here may be free before
        elif self.workers > 1 and held_s > placement.offer_after_s(waited_s - held_s):
            version_pool.waiting.remove(delivery)
            # a task: while a broker node dies the confirm may be long in coming, and others wait here
            self._tasks.create_task(self._hand_back.to_all(delivery), name="offer-back")
