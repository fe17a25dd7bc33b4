"""The worker's sandboxes: who serves which request, what starts, what ends. Carries `placement`'s steps out.

Invariants:
- a request is in exactly one place: running on a member, or in its version's `waiting` list (or answered);
- a member is served by exactly one task, from its first request to its removal;
- whichever sandbox of a version is ready first, a new one or one just freed, takes the request that waited longest;
- nothing that never started is nacked: it is handed back by a confirmed publish, then acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.function import FunctionVersion
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store.slots import Provision, Slot, Verdict
from hearth.store.workers import HeldSlot
from workers import placement
from workers.delivery import Delivery
from workers.member import Member
from workers.sandbox.sandbox import Sandbox
from workers.sandbox.supervisor import SpawnFailed

log = logging.getLogger(__name__)

#: how long a start waits for coordination to know its workers again
UNSETTLED_PAUSE_S = 0.1
#: a sandbox older than this ends when it falls idle: its credentials are to outlive it
MAX_AGE_S = 11 * 3600.0
#: the Shutdown phase takes 2 s at most
EVICTION_S = 5.0
#: AWS's Reason of a throttled request
THROTTLE_REASONS = {
    Verdict.FUNCTION: "ReservedFunctionConcurrentInvocationLimitExceeded",
    Verdict.ACCOUNT: "ConcurrentInvocationLimitExceeded",
    Verdict.RATE: "FunctionInvocationRateLimitExceeded",
}


class Services(Protocol):
    """What the pool asks of the world around it; `workers.service` provides it."""

    async def sandbox(self, version: FunctionVersion, *, provisioned: bool = False) -> Sandbox:
        """A new one, not yet initialised."""
        ...

    async def take_slot(self, version: FunctionVersion, run_id: str, sandbox_id: str) -> Slot: ...
    async def take_provisioned(self, version: FunctionVersion, sandbox_id: str, wanted: int) -> Provision: ...
    async def provisioned_ready(self, version: FunctionVersion, sandbox_id: str) -> None: ...
    async def release_slot(self, sandbox: Sandbox) -> None: ...
    def lack_room(self) -> None:
        """A provisioned sandbox could not be started here: as if a request had waited for room for long."""
        ...

    async def attach(self, pool: VersionPool, member: Member) -> None:
        """Declare the version's queue and consume from it for this member."""
        ...

    def reattach(self, pool: VersionPool, member: Member) -> None:
        """See to it that the member consumes from the queue of the epoch now in force."""
        ...

    async def detach(self, member: Member) -> None:
        """Stop consuming for it. Deliveries that were on their way have come when this returns."""
        ...

    async def hand_back(self, delivery: Delivery) -> None:
        """Publish a request that never started anew, confirmed, then acknowledge it."""
        ...

    async def forward(self, delivery: Delivery, worker_id: str) -> None:
        """Give a placement to the worker whose idle sandbox must give way for it."""
        ...

    async def claim(self, claim: str) -> bool:
        """Take a task that must not run twice; False: it is not ours to run."""
        ...

    def finished(self, claim: str, result: InvocationResult) -> None:
        """Leave the result of a claimed task, whoever still listens for its reply."""
        ...


@dataclass(slots=True)
class Counters:
    invocations: int = 0
    errors: int = 0
    cold_starts: int = 0


class VersionPool:
    """One version's sandboxes and waiting requests."""

    def __init__(self, version: FunctionVersion) -> None:
        self.version = version
        self.epoch = 0
        self.members: list[Member] = []
        self.waiting: deque[Delivery] = deque()
        self.starting = 0
        #: of the starting ones, those that hold a slot; the first `granted` waiting requests are theirs
        self.granted = 0
        #: provisioned ones that start
        self.providing = 0
        self.retired = False

    def idle_member(self) -> Member | None:
        """A provisioned one, if there is one."""
        idle = (member for member in self.members if member.idle and not member.retiring)
        return max(idle, key=lambda member: member.priority, default=None)

    def free_index(self) -> int:
        taken = {member.index for member in self.members}
        return next(index for index in range(len(taken) + 1) if index not in taken)

    def uncovered(self) -> Delivery | None:
        """The first waiting request for which no starting sandbox holds a slot."""
        return self.waiting[self.granted] if len(self.waiting) > self.granted else None


class Pool:
    """All of a worker's sandboxes. Runs inside the TaskGroup of `workers.service`."""

    def __init__(
        self,
        services: Services,
        tasks: asyncio.TaskGroup,
        *,
        worker_id: str,
        capacity: int,
        inits: int,
        stream_rate: int = 0,
    ) -> None:
        self._services = services
        self._tasks = tasks
        self._worker_id = worker_id
        self.capacity = capacity
        self._inits = asyncio.Semaphore(inits)
        self._stream_rate = stream_rate
        self.versions: dict[str, VersionPool] = {}
        #: they have a slot, and their Init is not over
        self._starting: set[Member] = set()
        self.counters = Counters()
        self.draining = False
        #: set while a request waits; the service's watch sleeps on it
        self.has_waiting = asyncio.Event()
        self.on_room: Callable[[], None] = lambda: None

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
            for member in self._starting
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
        if delivery.redelivered and (held := self.held_here(pool, delivery)) is not None:
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

    def deliveries(self, pool: VersionPool) -> Iterator[Delivery]:
        """What runs or waits here."""
        yield from (member.busy_with for member in pool.members if member.busy_with is not None)
        yield from pool.waiting

    def held_here(self, pool: VersionPool, delivery: Delivery) -> Delivery | None:
        """The same request, if it runs or waits here."""
        run_id = delivery.invocation.run_id
        return next((one for one in self.deliveries(pool) if one.invocation.run_id == run_id), None)

    def move(self, pool: VersionPool, epoch: int) -> None:
        """If `epoch` is newer than the pool's: all its sandboxes move on to that epoch's queue."""
        if epoch <= pool.epoch:
            return
        log.info("epoch raised", extra={"action": "epoch_raised", "function": pool.version.arn, "epoch": epoch})
        pool.epoch = epoch
        for member in pool.members:
            self._services.reattach(pool, member)

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
                    self._tasks.create_task(self._start(pool), name=f"sandbox-{key}")
                case placement.Evict(sandbox_id):
                    self.retire_sandbox(sandbox_id)
                case None:
                    return

    def retire_sandbox(self, sandbox_id: str) -> Member | None:
        """Retire an idle sandbox by id. None: it isn't here, or isn't idle any more."""
        for pool in self.versions.values():
            for member in pool.members:
                if member.sandbox.id == sandbox_id and member.idle and not member.retiring:
                    self._retire(pool, member)
                    return member
        return None

    def retire_surplus(self, member: Member) -> None:
        """It is one too many: it ends now, or as soon as it falls idle."""
        member.surplus = True
        if member.idle and not member.retiring:
            self._retire(self.versions[member.sandbox.version.key], member)

    def retire_version(self, key: str) -> None:
        """No new request will come for it: its sandboxes end as they fall idle."""
        pool = self.versions.get(key)
        if pool is None:
            return
        pool.retired = True
        for member in list(pool.members):
            if member.idle and not member.retiring:
                self._retire(pool, member)

    def reap(self, idle_s: float) -> None:
        """Retire what has been idle, or has lived, for too long; forget versions that have nothing left."""
        now = time.monotonic()
        for pool in list(self.versions.values()):
            for member in list(pool.members):
                unused = now - member.idle_since_s > idle_s and not member.provisioned
                old = unused or now - member.born_s > MAX_AGE_S
                if old and member.idle and not member.retiring:
                    self._retire(pool, member)
            if not pool.members and not pool.waiting and not pool.starting and not pool.providing:
                del self.versions[pool.version.key]

    def drain(self) -> None:
        """Take nothing more, end everything that is idle; what runs finishes first."""
        self.draining = True
        for key in list(self.versions):
            self.retire_version(key)
        for member in self.members():
            if not member.retiring:  # busy: what came for it now would wait for as long as it runs
                self._tasks.create_task(self._services.detach(member), name=f"detach-{member.sandbox.id}")

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

    def _retire(self, pool: VersionPool, member: Member) -> None:
        member.retiring = True
        self._tasks.create_task(self._end_consumer(pool, member), name=f"retire-{member.sandbox.id}")

    async def _end_consumer(self, pool: VersionPool, member: Member) -> None:
        await self._services.detach(member)
        member.detached = True
        # What was on its way has come meanwhile: it is served before the end.
        if member.idle:
            member.give(pool.waiting.popleft() if pool.waiting else None)

    # --- a sandbox's life -------------------------------------------------------------------------------------
    async def _start(self, pool: VersionPool) -> None:
        member: Member | None = None
        granted = False
        try:
            async with self._inits:
                member = await self._new_member(pool)
                if member is not None:
                    granted = True
                    self.counters.cold_starts += 1
                    await self._initialize(member)
        except (HearthError, OSError) as exc:
            log.exception("sandbox not started", extra={"action": "start_failed", "function": pool.version.arn})
            if pool.waiting:
                detail = f"A sandbox could not be started: {exc}"
                pool.waiting.popleft().answer(InvocationResult(Outcome.LOST, detail=detail))
            if member is not None:
                await self._end(member)
                member = None
        finally:
            pool.starting -= 1
            pool.granted -= granted
        if member is None:
            self.rebalance()
            return
        member.index = pool.free_index()
        pool.members.append(member)
        if (self.draining or pool.retired) and not pool.waiting:
            self._retire(pool, member)
        await self._serve(pool, member)

    async def _new_member(self, pool: VersionPool) -> Member | None:
        """Ask for a slot for the first uncovered request and make a sandbox; None: there is no need or no slot."""
        while (delivery := pool.uncovered()) is not None and not self.draining:
            sandbox = await self._services.sandbox(pool.version)
            slot = await self._services.take_slot(pool.version, delivery.invocation.run_id, sandbox.id)
            self.move(pool, slot.epoch)
            if slot.verdict is Verdict.GRANTED:
                pool.granted += 1
                return Member(sandbox)
            if slot.verdict is Verdict.UNSETTLED:
                await asyncio.sleep(UNSETTLED_PAUSE_S)
            elif delivery in pool.waiting:
                await self._without_slot(pool, delivery, slot)
        return None

    async def _initialize(self, member: Member) -> None:
        """Heartbeats keep its slot meanwhile."""
        self._starting.add(member)
        try:
            await member.sandbox.initialize()
        finally:
            self._starting.discard(member)

    async def _without_slot(self, pool: VersionPool, delivery: Delivery, slot: Slot) -> None:
        match slot.verdict:
            case Verdict.EVICT if slot.victim and slot.victim[0] == self._worker_id:
                victim = self.retire_sandbox(slot.victim[1])
                if victim is not None:  # its end releases the slot; then this request asks again
                    await asyncio.wait({victim.gone}, timeout=EVICTION_S)
            case Verdict.EVICT if slot.victim:
                pool.waiting.remove(delivery)
                await self._services.forward(delivery, slot.victim[0])
            case Verdict.STARTED:
                pool.waiting.remove(delivery)
                delivery.answer(InvocationResult(Outcome.LOST, detail="The worker that ran this invocation died."))
            case _:
                pool.waiting.remove(delivery)
                reason = THROTTLE_REASONS.get(slot.verdict, "ConcurrentInvocationLimitExceeded")
                delivery.answer(InvocationResult(Outcome.THROTTLED, detail=reason))

    # --- provisioned sandboxes --------------------------------------------------------------------------------
    def provide(self, pool: VersionPool, delivery: Delivery) -> None:
        """A placement has come that asks for a provisioned sandbox; it is answered when that is ready, or can't be."""
        pool.providing += 1
        self._tasks.create_task(self._provide(pool, delivery), name=f"provide-{pool.version.key}")

    async def _provide(self, pool: VersionPool, delivery: Delivery) -> None:
        member: Member | None = None
        try:
            answer, member = await self._provided(pool, int(delivery.invocation.payload))
        except (HearthError, OSError, SpawnFailed) as exc:
            log.exception("sandbox not provided", extra={"action": "provide_failed", "function": pool.version.arn})
            answer = InvocationResult(Outcome.LOST, detail=f"A sandbox could not be started: {exc}")
        finally:
            pool.providing -= 1
        if member is not None:
            member.index = pool.free_index()
            pool.members.append(member)
        delivery.answer(answer)
        if member is None:
            self.rebalance()
            return
        if self.draining or pool.retired:
            self._retire(pool, member)
        await self._serve(pool, member)

    async def _provided(self, pool: VersionPool, wanted: int) -> tuple[InvocationResult, Member | None]:
        """A ready one, or why there is none."""
        if self.draining or not await self._make_room():
            self._services.lack_room()
            return InvocationResult(Outcome.THROTTLED, detail="no room"), None
        async with self._inits:
            sandbox = await self._services.sandbox(pool.version, provisioned=True)
            match await self._services.take_provisioned(pool.version, sandbox.id, wanted):
                case Provision.ENOUGH:
                    return InvocationResult(Outcome.OK), None
                case Provision.UNSETTLED:
                    return InvocationResult(Outcome.THROTTLED, detail="coordination is not settled"), None
            member = Member(sandbox)
            try:
                await self._initialize(member)
                if sandbox.reusable:
                    await self._services.provisioned_ready(pool.version, sandbox.id)
                    return InvocationResult(Outcome.OK), member
            except BaseException:
                await asyncio.shield(self._end(member))
                raise
        await self._end(member)
        return InvocationResult(Outcome.FUNCTION_ERROR, detail="Init failed"), None

    async def _make_room(self) -> bool:
        """Room for one that is counted already; an idle sandbox on demand gives way if it must."""
        if self.used <= self.capacity:
            return True
        idle = [one for one in self.members() if one.idle and not one.retiring and not one.provisioned]
        if not idle:
            return False
        victim = min(idle, key=lambda one: one.idle_since_s)
        self._retire(self.versions[victim.sandbox.version.key], victim)
        await asyncio.wait({victim.gone}, timeout=EVICTION_S)
        return victim.gone.done()

    # --- serving ----------------------------------------------------------------------------------------------
    async def _serve(self, pool: VersionPool, member: Member) -> None:
        attaching = self._tasks.create_task(self._services.attach(pool, member), name=f"attach-{member.sandbox.id}")
        try:
            delivery = self._first(pool, member)
            while True:
                if delivery is None:
                    if member.detached:
                        return
                    delivery = await member.next_delivery()
                    if delivery is None:
                        return
                await self._run(pool, member, delivery)
                if not member.sandbox.reusable:
                    return
                delivery = self._next(pool, member)
        finally:
            member.retiring = True
            # shielded: a sandbox's end must not be cut short by whoever ended its service
            await asyncio.shield(self._remove(pool, member, attaching))

    def _first(self, pool: VersionPool, member: Member) -> Delivery | None:
        if not pool.waiting:
            return None
        member.busy_with = pool.waiting.popleft()
        return member.busy_with

    def _next(self, pool: VersionPool, member: Member) -> Delivery | None:
        """What a sandbox that has just finished does next: the request that waited longest, or fall idle."""
        delivery = self._first(pool, member)
        if delivery is None and (pool.retired or self.draining or member.surplus) and not member.retiring:
            self._retire(pool, member)
        if delivery is None and self.has_waiting.is_set():
            # others wait for room, and this one is about to be idle
            asyncio.get_running_loop().call_soon(self.rebalance)
        return delivery

    async def _run(self, pool: VersionPool, member: Member, delivery: Delivery) -> None:
        if not delivery.ours:
            return
        if delivery.invocation.gives_up_at_ms < now_ms():
            delivery.drop()
            return
        claim = delivery.invocation.claim
        if claim and not await self._services.claim(claim):
            delivery.answer(InvocationResult(Outcome.LOST, detail="The task runs, or ran, elsewhere."))
            return
        try:
            if delivery.invocation.streaming:
                result = await self._stream(member, delivery)
            else:
                result = await member.sandbox.invoke(delivery.invocation)
        except SpawnFailed as exc:  # its runtime had to be started anew and could not be
            result = InvocationResult(Outcome.LOST, detail=f"A sandbox could not be started: {exc}")
        counters = self.counters
        counters.invocations += 1
        if result.outcome is not Outcome.OK:
            counters.errors += 1
        if claim:
            self._services.finished(claim, result)
        if pool.epoch:
            result = replace(result, epoch=pool.epoch)
        settling = member.sandbox.settling
        if settling is None or settling.done():
            delivery.answer(result)
            return
        delivery.reply(result)
        # Extensions are still at work: the message unacknowledged keeps the next one away.
        await member.sandbox.settled()
        delivery.drop()

    async def _stream(self, member: Member, delivery: Delivery) -> InvocationResult:
        try:
            stream = await delivery.lane.open_stream(delivery, self._stream_rate)
        except HearthError as exc:
            return InvocationResult(Outcome.LOST, detail=f"The response can't be streamed: {exc}")
        try:
            return await member.sandbox.invoke(delivery.invocation, stream)
        finally:
            delivery.lane.close_stream(stream)

    async def _remove(self, pool: VersionPool, member: Member, attaching: asyncio.Task[None]) -> None:
        await asyncio.wait({attaching})  # its calls have deadlines of their own
        await self._services.detach(member)
        pool.members.remove(member)
        await self._end(member)
        self.rebalance()
        self.on_room()
        if member.lane is not None:
            await member.lane.close()  # waits for what it delivered and others run

    async def _end(self, member: Member) -> None:
        await member.sandbox.shutdown("spindown")
        await self._services.release_slot(member.sandbox)
        if not member.gone.done():
            member.gone.set_result(None)
