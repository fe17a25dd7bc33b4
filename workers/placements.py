"""Requests that need a sandbox: taken from the placement queues of what this worker offers, given to the pool."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from hearth.broker import topology
from hearth.broker.connection import Broker, Channel
from hearth.clock import now_ms
from hearth.errors import HearthError, Unavailable
from hearth.model.function import FunctionVersion
from hearth.model.invocation import InvocationResult, InvocationType, Outcome
from hearth.store import Stores, keys, slots
from workers.consumers import Consumers
from workers.delivery import Delivery, Lane, received
from workers.hand_back import HandBack
from workers.pool import Pool
from workers.stand_ins import StandIns
from workers.version_pool import VersionPool

log = logging.getLogger(__name__)

#: placements a worker holds beyond its room
WAITING_ALLOWANCE = 4


class Placements:
    """One channel for all families. families: what is installed here; stand_ins: what is served for others.

    wait_ms: the longest wait for room, a property of the queues.
    """

    def __init__(
        self,
        broker: Broker,
        stores: Stores,
        pool: Pool,
        consumers: Consumers,
        hand_back: HandBack,
        tasks: asyncio.TaskGroup,
        *,
        worker_id: str,
        families: Iterable[str],
        stand_ins: Iterable[str],
        wait_ms: int,
        unseal: Callable[[FunctionVersion], FunctionVersion],
    ) -> None:
        self._broker = broker
        self._state = stores.state
        self._coordination = stores.coordination
        self._pool = pool
        self._consumers = consumers
        self._hand_back = hand_back
        self._tasks = tasks
        self._worker_id = worker_id
        self._families = tuple(families)
        self._wait_ms = wait_ms
        self._unseal = unseal
        self._stand_ins = StandIns(stand_ins, wait_ms)
        #: families that some living worker has installed
        self._installed = frozenset(self._families)
        self._lane: Lane | None = None
        self._tags: list[str] = []
        self._versions: dict[str, FunctionVersion] = {}

    async def open(self) -> Channel:
        """Consume, over a new connection."""
        lane = Lane(
            await self._broker.channel(prefetch=self._pool.capacity + WAITING_ALLOWANCE), self._consumers.lane_answers()
        )
        self._lane, self._tags = lane, []
        on_placement = functools.partial(self._on_placement, lane)
        queues = [await topology.declare_placement(lane.channel, family, self._wait_ms) for family in self._families]
        queues.append(await topology.declare_worker(lane.channel, self._worker_id))
        on_cancel = functools.partial(self._close, lane)
        for queue in queues:
            self._tags.append(await lane.channel.consume(queue, on_placement, on_cancel=on_cancel))
        await self._stand_ins.open(lane, on_placement, on_cancel)
        await self._stand_ins.follow(self._installed)
        return lane.channel

    async def stop(self) -> None:
        """Take no more."""
        if self._lane is None or not self._lane.is_open:
            return
        for tag in self._tags:
            with contextlib.suppress(HearthError):
                await self._lane.channel.cancel(tag)
        with contextlib.suppress(HearthError):
            await self._stand_ins.close()

    async def yield_to_exact(self, installed: frozenset[str]) -> None:
        """What we stand in for belongs to whoever has it installed, our sandboxes' work too."""
        self._installed = installed
        if self._pool.draining:
            return
        for key, pool in list(self._pool.versions.items()):
            family = pool.version.family
            if family in self._stand_ins.served and family in installed and not pool.retired:
                self._pool.retire_version(key)
        try:
            await self._stand_ins.follow(installed)
        except HearthError as exc:
            log.warning("placements not followed", extra={"action": "follow_failed", "reason": str(exc)})

    # --- private ----------------------------------------------------------------------------------------------
    def _close(self, lane: Lane) -> None:
        """A placement queue was deleted: with its channel closed, all of them are declared anew."""
        self._tasks.create_task(lane.channel.close(), name="close-placements")

    def _on_placement(self, lane: Lane, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        delivery = received(lane, method, properties, body, placed=True)
        if delivery is None:
            return
        if not delivery.invocation.placed_at_ms:
            delivery.invocation = replace(delivery.invocation, placed_at_ms=now_ms())
        version = self._versions.get(delivery.invocation.version_key)
        if version is not None:
            self._place(self._pool.pool_of(version), delivery)
        else:
            self._tasks.create_task(self._place_unknown(delivery), name="load-version")

    async def _place_unknown(self, delivery: Delivery) -> None:
        key = delivery.invocation.version_key
        try:
            raw = await self._state.get(keys.version(key))
        except Unavailable as exc:
            delivery.answer(InvocationResult(Outcome.LOST, detail=f"The function's configuration can't be read: {exc}"))
            return
        if raw is None:
            delivery.answer(InvocationResult(Outcome.LOST, detail="The function was deleted or changed meanwhile."))
            return
        version = self._versions.setdefault(key, self._unseal(FunctionVersion.from_json(raw)))
        if self._pool.draining:
            await self._hand_back.to_all(delivery)
        else:
            self._place(self._pool.pool_of(version), delivery)

    def _place(self, pool: VersionPool, delivery: Delivery) -> None:
        if delivery.invocation.invocation_type is InvocationType.PROVISION:
            self._pool.provide(pool, delivery)
        elif delivery.invocation.again:
            self._tasks.create_task(self._place_again(pool, delivery), name="place-again")
        else:
            self._pool.offer(pool, delivery)

    async def _place_again(self, pool: VersionPool, delivery: Delivery) -> None:
        """A second copy of a request: it runs only if no worker has the first."""
        run_id = delivery.invocation.run_id
        try:
            owner, lives = await slots.claim_start(self._coordination, self._worker_id, run_id)
        except Unavailable as exc:
            delivery.answer(InvocationResult(Outcome.LOST, detail=f"Whether it runs can't be told: {exc}"))
            return
        if owner != self._worker_id and not lives:
            delivery.answer(InvocationResult(Outcome.LOST, detail="The worker that ran this invocation died."))
        elif owner != self._worker_id or pool.held(run_id) is not None:
            delivery.drop()  # whoever has it answers
        else:
            delivery.invocation = replace(delivery.invocation, again=False)
            self._pool.offer(pool, delivery)
