"""Cold starts: a slot, a sandbox, its Init; for requests that wait, and ahead of requests (provisioned)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from hearth.errors import HearthError
from hearth.model.function import FunctionVersion
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store.slots import Provision, Slot, Verdict
from workers.delivery import Delivery
from workers.hand_back import HandBack
from workers.member import Member
from workers.sandbox.sandbox import Sandbox
from workers.sandbox.supervisor import SpawnFailed
from workers.serving import Counters, Serving
from workers.slot_claims import SlotClaims
from workers.version_pool import VersionPool

if TYPE_CHECKING:
    from workers.pool import Pool

log = logging.getLogger(__name__)

#: how long a start waits before it asks for a slot again
UNSETTLED_PAUSE_S = 0.1
#: how long the idle sandboxes of the version before this one may take to give their slots up. They are retired when
#: the function's change is heard, which may be after the first request for the new version
SUPERSEDING_S = 1.0
#: the Shutdown phase takes 2 s at most
EVICTION_S = 5.0
#: AWS's Reason of a throttled request
THROTTLE_REASONS = {
    Verdict.FUNCTION: "ReservedFunctionConcurrentInvocationLimitExceeded",
    Verdict.ACCOUNT: "ConcurrentInvocationLimitExceeded",
    Verdict.RATE: "FunctionInvocationRateLimitExceeded",
}

#: makes a sandbox of a version, provisioned or not, that is not yet initialised
NewSandbox = Callable[[FunctionVersion, bool], Awaitable[Sandbox]]


class ColdStarts:
    """One per pool. worker_id: whose idle sandboxes it may retire. inits: how many at once."""

    def __init__(
        self,
        pool: Pool,
        serving: Serving,
        new_sandbox: NewSandbox,
        slots: SlotClaims,
        hand_back: HandBack,
        counters: Counters,
        *,
        worker_id: str,
        inits: int,
    ) -> None:
        self._pool = pool
        self._serving = serving
        self._new_sandbox = new_sandbox
        self._slots = slots
        self._hand_back = hand_back
        self._counters = counters
        self._worker_id = worker_id
        self._inits = asyncio.Semaphore(inits)
        #: they have a slot, and their Init is not over
        self.initialising: set[Member] = set()
        #: a provisioned sandbox could not be started here: as if a request had waited for room for long
        self.on_lack_of_room: Callable[[], None] = lambda: None

    # --- on demand ----------------------------------------------------------------------------------------------
    async def start(self, pool: VersionPool) -> None:
        """One more sandbox, counted in `pool.starting` already, and its whole life."""
        member: Member | None = None
        granted = False
        try:
            async with self._inits:
                member = await self._new_member(pool)
                if member is not None:
                    granted = True
                    self._counters.cold_starts += 1
                    await self._initialize(member)
        except (HearthError, OSError) as exc:
            log.exception("sandbox not started", extra={"action": "start_failed", "function": pool.version.arn})
            if (delivery := pool.take_first()) is not None:
                detail = f"A sandbox could not be started: {exc}"
                delivery.answer(InvocationResult(Outcome.LOST, detail=detail))
            if member is not None:
                await self._serving.end(member)
                member = None
        finally:
            pool.starting -= 1
            pool.granted -= granted
        if member is None:
            self._pool.rebalance()
            return
        pool.admit(member)
        if (self._pool.draining or pool.retired) and not pool.waiting:
            self._pool.retire(pool, member)
        await self._serving.serve(pool, member)

    async def _new_member(self, pool: VersionPool) -> Member | None:
        """Ask for a slot for the first uncovered request and make a sandbox; None: there is no need or no slot."""
        while (delivery := pool.uncovered()) is not None and not self._pool.draining:
            sandbox = await self._new_sandbox(pool.version, False)
            slot = await self._slots.take(pool.version, delivery.invocation.run_id, sandbox.id)
            self._pool.move(pool, slot.epoch)
            if slot.verdict is Verdict.GRANTED:
                pool.granted += 1
                return Member(sandbox)
            superseding = time.monotonic() - pool.born_s < SUPERSEDING_S
            if slot.verdict is Verdict.UNSETTLED or (slot.verdict is Verdict.FUNCTION and superseding):
                await asyncio.sleep(UNSETTLED_PAUSE_S)
            elif delivery in pool.waiting:
                await self._without_slot(pool, delivery, slot)
        return None

    async def _initialize(self, member: Member) -> None:
        """Heartbeats keep its slot meanwhile."""
        self.initialising.add(member)
        try:
            await member.sandbox.initialize()
        finally:
            self.initialising.discard(member)

    async def _without_slot(self, pool: VersionPool, delivery: Delivery, slot: Slot) -> None:
        match slot.verdict:
            case Verdict.EVICT if slot.victim and slot.victim[0] == self._worker_id:
                victim = self._pool.retire_sandbox(slot.victim[1])
                if victim is not None:  # its end releases the slot; then this request asks again
                    await asyncio.wait({victim.gone}, timeout=EVICTION_S)
            case Verdict.EVICT if slot.victim:
                pool.waiting.remove(delivery)
                await self._hand_back.to_worker(delivery, slot.victim[0])
            case Verdict.STARTED:
                pool.waiting.remove(delivery)
                delivery.answer(InvocationResult(Outcome.LOST, detail="The worker that ran this invocation died."))
            case _:
                pool.waiting.remove(delivery)
                reason = THROTTLE_REASONS.get(slot.verdict, "ConcurrentInvocationLimitExceeded")
                delivery.answer(InvocationResult(Outcome.THROTTLED, detail=reason))

    # --- provisioned ----------------------------------------------------------------------------------------------
    async def provide(self, pool: VersionPool, delivery: Delivery) -> None:
        """One provisioned sandbox, counted in `pool.providing` already, and its whole life. What has asked for it is
        answered when it is ready, or can't be."""
        member: Member | None = None
        try:
            answer, member = await self._provided(pool, int(delivery.invocation.payload))
        except (HearthError, OSError, SpawnFailed) as exc:
            log.exception("sandbox not provided", extra={"action": "provide_failed", "function": pool.version.arn})
            answer = InvocationResult(Outcome.LOST, detail=f"A sandbox could not be started: {exc}")
        finally:
            pool.providing -= 1
        if member is not None:
            pool.admit(member)
        delivery.answer(answer)
        if member is None:
            self._pool.rebalance()
            return
        if self._pool.draining or pool.retired:
            self._pool.retire(pool, member)
        await self._serving.serve(pool, member)

    async def _provided(self, pool: VersionPool, wanted: int) -> tuple[InvocationResult, Member | None]:
        """A ready one, or why there is none."""
        if self._pool.draining or not await self._make_room():
            self.on_lack_of_room()
            return InvocationResult(Outcome.THROTTLED, detail="no room"), None
        async with self._inits:
            sandbox = await self._new_sandbox(pool.version, True)
            match await self._slots.take_provisioned(pool.version, sandbox.id, wanted):
                case Provision.ENOUGH:
                    return InvocationResult(Outcome.OK), None
                case Provision.UNSETTLED:
                    return InvocationResult(Outcome.THROTTLED, detail="coordination is not settled"), None
            member = Member(sandbox)
            try:
                await self._initialize(member)
                if sandbox.reusable:
                    await self._slots.provisioned_ready(pool.version, sandbox.id)
                    return InvocationResult(Outcome.OK), member
            except BaseException:
                await asyncio.shield(self._serving.end(member))
                raise
        await self._serving.end(member)
        return InvocationResult(Outcome.FUNCTION_ERROR, detail="Init failed"), None

    async def _make_room(self) -> bool:
        """Room for one that is counted already; an idle sandbox on demand gives way if it must."""
        if self._pool.used <= self._pool.capacity:
            return True
        victim = self._pool.retire_longest_idle()
        if victim is None:
            return False
        await asyncio.wait({victim.gone}, timeout=EVICTION_S)
        return victim.gone.done()
