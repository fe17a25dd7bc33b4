"""The worker's sandboxes: who takes which request, what starts, what ends. Carries `placement`'s steps out.

A request goes to an idle sandbox of its version, or waits; what waits makes sandboxes start (`cold_starts`) and others
give way. What a sandbox does from its first request to its end is in `serving`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator

from hearth.clock import now_ms
from hearth.model.function import FunctionVersion
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store.workers import HeldSlot
from workers import placement
from workers.cold_starts import ColdStarts, NewSandbox
from workers.consumers import Consumers
from workers.delivery import Delivery
from workers.hand_back import HandBack
from workers.member import Member
from workers.serving import Counters, Serving
from workers.slot_claims import SlotClaims
from workers.task_claims import TaskClaims
from workers.version_pool import VersionPool

log = logging.getLogger(__name__)

#: a sandbox older than this ends when it falls idle: its credentials are to outlive it
MAX_AGE_S = 11 * 3600.0


class Pool:
    """All of a worker's sandboxes. Runs inside the TaskGroup of `workers.service`.

    capacity: how many there may be. inits: how many may start at once. stream_rate: bytes a second of a streamed
    response, 0 for no limit.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        new_sandbox: NewSandbox,
        consumers: Consumers,
        slots: SlotClaims,
        claims: TaskClaims,
        hand_back: HandBack,
        *,
        worker_id: str,
        capacity: int,
        inits: int,
        stream_rate: int = 0,
    ) -> None:
        self._tasks = tasks
        self._consumers = consumers
        self.capacity = capacity
        self.versions: dict[str, VersionPool] = {}
        self.counters = Counters()
        self.draining = False
        #: set while a request waits; the service's watch sleeps on it
        self.has_waiting = asyncio.Event()
        serving = Serving(self, tasks, consumers, slots, claims, self.counters, stream_rate=stream_rate)
        self.cold_starts = ColdStarts(
            self, serving, new_sandbox, slots, hand_back, self.counters, worker_id=worker_id, inits=inits
        )

    # --- what is there ----------------------------------------------------------------------------------------
    def members(self) -> Iterator[Member]:
        return (member for one in self.versions.values() for member in one.members)

    @property
    def used(self) -> int:
        return sum(len(one.members) + one.starting + one.providing for one in self.versions.values())

    @property
    def waiting(self) -> int:
        return sum(len(one.waiting) for one in self.versions.values())

    @property
    def busy(self) -> int:
        return sum(1 for member in self.members() if member.busy_with is not None)

    def held(self) -> list[HeldSlot]:
        """For the heartbeat."""
        now_s, epoch_ms = time.monotonic(), now_ms()
        starting = [
            HeldSlot(member.sandbox.id, member.sandbox.version, 0, member.provisioned, ready=False)
            for member in self.cold_starts.initialising
        ]
        return starting + [
            HeldSlot(
                member.sandbox.id,
                one.version,
                epoch_ms - int((now_s - member.idle_since_s) * 1000) if member.idle else 0,
                member.provisioned,
            )
            for one in self.versions.values()
            for member in one.members
            if not member.surplus  # its slot is somebody else's by now
        ]

    def pool_of(self, version: FunctionVersion) -> VersionPool:
        pool = self.versions.get(version.key)
        if pool is None:
            pool = self.versions[version.key] = VersionPool(version)
        return pool

    # --- requests ---------------------------------------------------------------------------------------------
    def offer(self, pool: VersionPool, delivery: Delivery, member: Member | None = None) -> None:
        """A request has come: to `member`'s own consumer, or as a placement."""
        self.move(pool, delivery.invocation.epoch)
        if delivery.redelivered and (held := pool.held(delivery.invocation.run_id)) is not None:
            held.adopt(delivery)  # the connection was lost, not we
            return
        if delivery.redelivered and not delivery.placed:
            # Its worker died with it and it may have run; the caller's SDK may retry, we must not.
            delivery.answer(InvocationResult(Outcome.LOST, detail="The worker that ran this invocation died."))
            return
        if member is None or not member.idle:
            member = pool.idle_member()
        # A redelivered placement may have been started by a worker that died: take_slot knows, so ask.
        if member is not None and not (delivery.redelivered and delivery.placed):
            member.give(delivery)
            return
        pool.waiting.append(delivery)
        self.has_waiting.set()
        self.rebalance()

    def provide(self, pool: VersionPool, delivery: Delivery) -> None:
        """A placement has come that asks for a provisioned sandbox; it is answered when that is ready, or can't be."""
        pool.providing += 1
        self._tasks.create_task(self.cold_starts.provide(pool, delivery), name=f"provide-{pool.version.key}")

    def move(self, pool: VersionPool, epoch: int) -> None:
        """If `epoch` is newer than the pool's: all its sandboxes move on to that epoch's queue."""
        if epoch <= pool.epoch:
            return
        log.info("epoch raised", extra={"action": "epoch_raised", "function": pool.version.arn, "epoch": epoch})
        pool.epoch = epoch
        for member in pool.members:
            self._consumers.reattach(pool, member)

    def rebalance(self) -> None:
        """Start and evict until nothing more can be done now."""
        while not self.draining:
            demands = [
                placement.Demand(one.version.key, one.waiting[one.starting].received_s, len(one.waiting) - one.starting)
                for one in self.versions.values()
                if len(one.waiting) > one.starting
            ]
            if not demands:
                return
            step = placement.next_step(
                demands,
                (
                    placement.IdleSandbox(member.sandbox.id, one.version.key, member.idle_since_s)
                    for one in self.versions.values()
                    for member in one.members
                    if member.idle and not member.retiring and not member.provisioned
                ),
                used=self.used,
                leaving=sum(1 for member in self.members() if member.retiring),
                capacity=self.capacity,
            )
            match step:
                case placement.Start(key):
                    pool = self.versions[key]
                    pool.starting += 1
                    self._tasks.create_task(self.cold_starts.start(pool), name=f"sandbox-{key}")
                case placement.Evict(sandbox_id):
                    self.retire_sandbox(sandbox_id)
                case None:
                    return

    def falls_idle(self, pool: VersionPool, member: Member) -> None:
        """It has finished, and nothing of its version waits."""
        if (pool.retired or self.draining or member.surplus) and not member.retiring:
            self.retire(pool, member)
        if self.has_waiting.is_set():
            # others wait for room, and this one is about to be idle
            asyncio.get_running_loop().call_soon(self.rebalance)

    def take_waiting(self) -> list[Delivery]:
        """Remove and return every request that waits (for handing back)."""
        taken = [delivery for pool in self.versions.values() for delivery in pool.waiting]
        for pool in self.versions.values():
            pool.waiting.clear()
        return taken

    def forget_dead(self) -> None:
        """The connection is gone: what waits belongs to the broker again."""
        for pool in self.versions.values():
            pool.waiting = deque(delivery for delivery in pool.waiting if delivery.ours)

    # --- what ends ----------------------------------------------------------------------------------------------
    def retire(self, pool: VersionPool, member: Member) -> None:
        """It takes what is on its way to it, and ends."""
        member.retiring = True
        self._tasks.create_task(self._end_consumer(pool, member), name=f"retire-{member.sandbox.id}")

    def retire_sandbox(self, sandbox_id: str) -> Member | None:
        """Retire an idle sandbox by id. None: it isn't here, or isn't idle any more."""
        for pool in self.versions.values():
            for member in pool.members:
                if member.sandbox.id == sandbox_id and member.idle and not member.retiring:
                    self.retire(pool, member)
                    return member
        return None

    def retire_longest_idle(self) -> Member | None:
        """Retire the sandbox on demand that has been idle for longest. None: none is idle."""
        idle = [one for one in self.members() if one.idle and not one.retiring and not one.provisioned]
        if not idle:
            return None
        victim = min(idle, key=lambda one: one.idle_since_s)
        self.retire(self.versions[victim.sandbox.version.key], victim)
        return victim

    def retire_surplus(self, member: Member) -> None:
        """It is one too many: it ends now, or as soon as it falls idle."""
        member.surplus = True
        if member.idle and not member.retiring:
            self.retire(self.versions[member.sandbox.version.key], member)

    def retire_version(self, key: str) -> None:
        """No new request will come for it: its sandboxes end as they fall idle."""
        pool = self.versions.get(key)
        if pool is None:
            return
        pool.retired = True
        for member in list(pool.members):
            if member.idle and not member.retiring:
                self.retire(pool, member)

    def reap(self, idle_s: float) -> None:
        """Retire what has been idle, or has lived, for too long; forget versions that have nothing left."""
        now = time.monotonic()
        for pool in list(self.versions.values()):
            for member in list(pool.members):
                unused = now - member.idle_since_s > idle_s and not member.provisioned
                old = unused or now - member.born_s > MAX_AGE_S
                if old and member.idle and not member.retiring:
                    self.retire(pool, member)
            if pool.empty:
                del self.versions[pool.version.key]

    def drain(self) -> None:
        """Take nothing more, end everything that is idle; what runs finishes first."""
        self.draining = True
        for key in list(self.versions):
            self.retire_version(key)
        for member in self.members():
            if not member.retiring:  # busy: what came for it now would wait for as long as it runs
                self._tasks.create_task(self._consumers.detach(member), name=f"detach-{member.sandbox.id}")

    async def _end_consumer(self, pool: VersionPool, member: Member) -> None:
        await self._consumers.detach(member)
        member.detached = True
        # What was on its way has come meanwhile: it is served before the end.
        if member.idle:
            member.give(pool.take_first())
