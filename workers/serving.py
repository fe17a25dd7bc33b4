"""A sandbox's service: one request after the other, from its first to its end.

Invariants:
- a member is served by exactly one task, from its first request to its removal;
- whichever sandbox of a version is ready first, a new one or one just freed, takes the request that waited longest.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.invocation import InvocationResult, Outcome
from workers.consumers import Consumers
from workers.delivery import Delivery
from workers.member import Member
from workers.sandbox.supervisor import SpawnFailed
from workers.slot_claims import SlotClaims
from workers.task_claims import TaskClaims
from workers.version_pool import VersionPool

if TYPE_CHECKING:
    from workers.pool import Pool


@dataclass(slots=True)
class Counters:
    """Since the worker's start."""

    invocations: int = 0
    errors: int = 0
    cold_starts: int = 0


class Serving:
    """One per pool. stream_rate: bytes a second of a streamed response, 0 for no limit."""

    def __init__(
        self,
        pool: Pool,
        tasks: asyncio.TaskGroup,
        consumers: Consumers,
        slots: SlotClaims,
        claims: TaskClaims,
        counters: Counters,
        *,
        stream_rate: int,
    ) -> None:
        self._pool = pool
        self._tasks = tasks
        self._consumers = consumers
        self._slots = slots
        self._claims = claims
        self._counters = counters
        self._stream_rate = stream_rate

    async def serve(self, pool: VersionPool, member: Member) -> None:
        """Its task's whole life; the sandbox has ended when it returns."""
        attaching = self._tasks.create_task(self._consumers.attach(pool, member), name=f"attach-{member.sandbox.id}")
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

    async def end(self, member: Member) -> None:
        """The Shutdown phase of one that serves no more, or never did.

        What is limited is how many run; one that could serve on runs nothing, and its extensions may take their time.
        """
        idle = member.sandbox.reusable
        if idle:
            await self._slots.release(member.sandbox)
        await member.sandbox.shutdown("spindown")
        if not idle:
            await self._slots.release(member.sandbox)
        if not member.gone.done():
            member.gone.set_result(None)

    # --- private ----------------------------------------------------------------------------------------------
    def _first(self, pool: VersionPool, member: Member) -> Delivery | None:
        delivery = pool.take_first()
        if delivery is not None:
            member.busy_with = delivery
        return delivery

    def _next(self, pool: VersionPool, member: Member) -> Delivery | None:
        """What a sandbox that has just finished does next: the request that waited longest, or fall idle."""
        delivery = self._first(pool, member)
        if delivery is None:
            self._pool.falls_idle(pool, member)
        return delivery

    async def _run(self, pool: VersionPool, member: Member, delivery: Delivery) -> None:
        if not delivery.ours:
            return
        if delivery.invocation.gives_up_at_ms < now_ms():
            delivery.drop()
            return
        claim = delivery.invocation.claim
        if claim and not await self._claims.take(claim):
            delivery.answer(InvocationResult(Outcome.LOST, detail="The task runs, or ran, elsewhere."))
            return
        try:
            if delivery.invocation.streaming:
                result = await self._stream(member, delivery)
            else:
                result = await member.sandbox.invoke(delivery.invocation)
        except SpawnFailed as exc:  # its runtime had to be started anew and could not be
            result = InvocationResult(Outcome.LOST, detail=f"A sandbox could not be started: {exc}")
        counters = self._counters
        counters.invocations += 1
        if result.outcome is not Outcome.OK:
            counters.errors += 1
        if claim:
            self._claims.finished(claim, result)
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
        await self._consumers.detach(member)
        pool.members.remove(member)
        await self.end(member)
        self._pool.rebalance()
        if member.lane is not None:
            await member.lane.close()  # waits for what it delivered and others run
