"""One worker process: connects the pool to broker and stores, and keeps its promises on the way out.

A ready sandbox has a channel and a prefetch-1 consumer of its own on its version's queue; placements come over one
channel for all families. Order of the end: stop consuming, finish what runs, hand back what never started, Shutdown
phase of every sandbox, close the broker last (its heartbeats keep unacknowledged deliveries ours meanwhile).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from hearth.broker import envelope, topology
from hearth.broker.connection import Broker, Channel, ChannelClosed, PublishRefused
from hearth.broker.control import Change, ControlBus
from hearth.broker.node_loss import NodeLoss
from hearth.clock import now_ms
from hearth.errors import HearthError, Unavailable
from hearth.model.function import FunctionVersion
from hearth.model.invocation import InvocationResult, InvocationType, Outcome
from hearth.settings import Settings
from hearth.store import Stores, keys, slots
from hearth.store import workers as register
from hearth.store.claims import Claimant
from hearth.store.concurrency import ConcurrencyTable
from hearth.store.pipeline import Pipeline
from workers import placement, runtimes
from workers.delivery import Delivery, Lane
from workers.late_answers import LateAnswers
from workers.member import Member
from workers.pool import Pool, VersionPool
from workers.runtimes import Runtime
from workers.sandbox.sandbox import Sandbox
from workers.shedding import Shedder
from workers.stand_ins import StandIns

log = logging.getLogger(__name__)

#: placements a worker holds beyond its room
WAITING_ALLOWANCE = 4
WATCH_S = 0.025
#: the longest function timeout, and an Init before it: what a worker that drains waits for
LONGEST_RUN_S = 900.0 + 30.0
#: how often a broken consumer is tried again
ATTACH_PAUSE_S = 0.5
#: quorum queues have chosen new leaders by then, when a broker node has died
ELECTION_S = 3.0
#: AMQP's reply code when a queue isn't there, and RabbitMQ's when its home node is down
NOT_FOUND = 404

NewSandbox = Callable[[FunctionVersion, bool], Awaitable[Sandbox]]


class Worker:
    """Implements pool.Services. `new_sandbox` makes one of a version, provisioned or not, that is not yet initialised.

    offer: family -> the runtime of this host that serves it; a stand-in only while no worker has the family itself.
    hurried: set when the whole fleet stops; draining then takes `drain_seconds` at most, and else as long as what
    runs may take.
    """

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        stores: Stores,
        new_sandbox: NewSandbox,
        *,
        unseal: Callable[[FunctionVersion], FunctionVersion],
        worker_id: str,
        offer: Mapping[str, Runtime],
        capacity: int,
        isolation: str,
        hurried: asyncio.Event,
    ) -> None:
        self.id = worker_id
        self._hurried = hurried
        self._settings = settings
        self._broker = broker
        self._stores = stores
        self._new_sandbox = new_sandbox
        self._unseal = unseal
        self._families = sorted(family for family, runtime in offer.items() if not runtime.stands_for)
        stand_ins = offer.keys() - set(self._families)
        self._stand_ins = StandIns(stand_ins, int(settings.placement_wait_seconds * 1000))
        self._offer = runtimes.figures(offer)
        self._capacity = capacity
        self._isolation = isolation
        self._pool: Pool
        self._placements: Lane | None = None
        self._placement_tags: list[str] = []
        self._publisher: Channel | None = None
        self._late_answers = LateAnswers()
        self._node_lost_s = float("-inf")
        self._node_loss = NodeLoss(broker, self._on_node_loss)
        self._fleet = register.Fleet(1, frozenset(self._families))
        #: of a request for which no sandbox starts, since the last heartbeat
        self._longest_wait_s = 0.0
        self._versions: dict[str, FunctionVersion] = {}
        self._pipeline = Pipeline(stores.state)
        self._claimant = Claimant(self._pipeline, worker_id)
        #: results on their way into claims
        self._finishing: set[asyncio.Task[None]] = set()
        self._concurrency = ConcurrencyTable(stores.state, settings.account_concurrency)

    # --- life -------------------------------------------------------------------------------------------------
    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain. Raises what a broken invariant raises."""
        cores = os.cpu_count() or 1
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._pool = Pool(
                self,
                tasks,
                worker_id=self.id,
                capacity=self._capacity,
                inits=self._settings.concurrent_inits or 2 * cores,
                stream_rate=self._settings.stream_bytes_per_second,
            )
            self._shedder = Shedder(self._pool, self._concurrency, self._stores.coordination)
            self._broker.on_down.append(self._on_down)
            for opening in (self._open_publisher, self._open_placements, self._attach_all):
                await self._broker.when_up(opening)
            # Only now: who hears of this worker may send it what it offers.
            await self._beat()
            await self._node_loss.start()
            control = ControlBus(self._broker)
            await control.start(self._on_change)
            beating = tasks.create_task(self._heartbeats(), name="heartbeat")
            watching = tasks.create_task(self._watch(), name="watch")
            claiming = tasks.create_task(self._claimant.run(), name="claims")
            sending = tasks.create_task(self._pipeline.run(), name="pipeline")
            shedding = tasks.create_task(self._shedder.run(), name="shed")
            log.info("worker ready", extra={"action": "worker_ready", "worker": self.id, "capacity": self._capacity})
            await stop.wait()  # no deadline: the life of the worker
            await self._drain()
            if self._finishing:
                await asyncio.wait(self._finishing)  # bounded by who drains us
            for task in (watching, beating, claiming, sending, shedding):
                task.cancel()
        with contextlib.suppress(HearthError):
            await register.leave(self._stores.coordination, self.id)

    async def _drain(self) -> None:
        log.info("worker drains", extra={"action": "worker_drains", "busy": self._pool.busy})
        self._pool.drain()
        if self._placements is not None and self._placements.is_open:
            for tag in self._placement_tags:
                with contextlib.suppress(HearthError):
                    await self._placements.channel.cancel(tag)
            with contextlib.suppress(HearthError):
                await self._stand_ins.close()
        for delivery in self._pool.take_waiting():
            await self.hand_back(delivery)
        until_s = time.monotonic() + LONGEST_RUN_S
        hurried = False
        while (members := list(self._pool.members())) or self._pool.used:
            if self._hurried.is_set() and not hurried:
                hurried, until_s = True, time.monotonic() + self._settings.drain_seconds
            if time.monotonic() > until_s:
                log.warning("invocations cut off", extra={"action": "drain_timeout", "busy": self._pool.busy})
                await asyncio.gather(*(member.sandbox.shutdown("failure") for member in members))
            ending = [member.gone for member in members]
            # the pause is for sandboxes that are just starting: they are no members yet
            await asyncio.wait({*ending, asyncio.ensure_future(asyncio.sleep(WATCH_S))}, timeout=1.0)
        for delivery in self._pool.take_waiting():  # came while the consumers ended
            await self.hand_back(delivery)

    # --- the broker -------------------------------------------------------------------------------------------
    async def _open_publisher(self) -> Channel:
        channel = await self._broker.channel()
        await topology.declare_shared(channel)
        await channel.confirm_publishes()
        self._publisher = channel
        if channel.replicated:
            self._late_answers.open(channel)
        return channel

    async def _open_placements(self) -> Channel:
        lane = Lane(await self._broker.channel(prefetch=self._capacity + WAITING_ALLOWANCE), self._answers)
        self._placements, self._placement_tags = lane, []
        wait_ms = int(self._settings.placement_wait_seconds * 1000)
        on_placement = functools.partial(self._on_placement, lane)
        queues = [await topology.declare_placement(lane.channel, family, wait_ms) for family in self._families]
        queues.append(await topology.declare_worker(lane.channel, self.id))
        on_cancel = functools.partial(self._close, lane)
        for queue in queues:
            self._placement_tags.append(await lane.channel.consume(queue, on_placement, on_cancel=on_cancel))
        await self._stand_ins.open(lane, on_placement, on_cancel)
        await self._stand_ins.follow(self._fleet.families)
        return lane.channel

    def _close(self, lane: Lane) -> None:
        """A placement queue was deleted: with its channel closed, all of them are declared anew."""
        self._tasks.create_task(lane.channel.close(), name="close-placements")

    async def _attach_all(self) -> None:
        for pool in self._pool.versions.values():
            for member in pool.members:
                self.reattach(pool, member)

    def _on_down(self) -> None:
        self._pool.forget_dead()
        if self._broker.replicated:
            self._late_answers.lost()
            self._on_node_loss()

    # --- a broker node's death --------------------------------------------------------------------------------
    @property
    def _answers(self) -> LateAnswers | None:
        """With one broker node, a lost connection means that the callers have lost theirs."""
        return self._late_answers if self._broker.replicated else None

    def _on_node_loss(self) -> None:
        """Callers will send again what they wait for: say what is here."""
        self._node_lost_s = time.monotonic()
        self._tasks.create_task(self._mark_held(), name="mark-held")

    async def _mark_held(self) -> None:
        pools = self._pool.versions.values()
        held = [one.invocation.run_id for pool in pools for one in self._pool.deliveries(pool)]
        with contextlib.suppress(Unavailable):  # without marks a request may run twice
            await slots.mark_started(self._stores.coordination, self.id, held)

    async def _place_again(self, pool: VersionPool, delivery: Delivery) -> None:
        """A second copy of a request: it runs only if no worker has the first."""
        run_id = delivery.invocation.run_id
        try:
            owner, lives = await slots.claim_start(self._stores.coordination, self.id, run_id)
        except Unavailable as exc:
            delivery.answer(InvocationResult(Outcome.LOST, detail=f"Whether it runs can't be told: {exc}"))
            return
        if owner != self.id and not lives:
            delivery.answer(InvocationResult(Outcome.LOST, detail="The worker that ran this invocation died."))
        elif owner != self.id or self._pool.held_here(pool, delivery) is not None:
            delivery.drop()  # whoever has it answers
        else:
            delivery.invocation = replace(delivery.invocation, again=False)
            self._pool.offer(pool, delivery)

    def _delivery(self, lane: Lane, method: Any, properties: Any, body: bytes, *, placed: bool) -> Delivery | None:
        lane.outstanding += 1
        try:
            invocation = envelope.read_invocation(properties, body)
        except (KeyError, ValueError, TypeError):
            log.exception("unreadable message dropped", extra={"action": "message_unreadable"})
            lane.settled()
            lane.channel.raw.basic_ack(method.delivery_tag)
            return None
        return Delivery(
            lane,
            method.delivery_tag,
            invocation,
            properties.reply_to,
            properties.correlation_id,
            method.redelivered,
            placed,
        )

    def _on_warm(
        self, pool: VersionPool, member: Member, lane: Lane, _channel: Any, method: Any, properties: Any, body: bytes
    ) -> None:
        delivery = self._delivery(lane, method, properties, body, placed=False)
        if delivery is not None:
            self._pool.offer(pool, delivery, member)

    def _on_placement(self, lane: Lane, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        delivery = self._delivery(lane, method, properties, body, placed=True)
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
            raw = await self._stores.state.get(keys.version(key))
        except Unavailable as exc:
            delivery.answer(InvocationResult(Outcome.LOST, detail=f"The function's configuration can't be read: {exc}"))
            return
        if raw is None:
            delivery.answer(InvocationResult(Outcome.LOST, detail="The function was deleted or changed meanwhile."))
            return
        version = self._versions.setdefault(key, self._unseal(FunctionVersion.from_json(raw)))
        if self._pool.draining:
            await self.hand_back(delivery)
        else:
            self._place(self._pool.pool_of(version), delivery)

    def _place(self, pool: VersionPool, delivery: Delivery) -> None:
        if delivery.invocation.invocation_type is InvocationType.PROVISION:
            self._pool.provide(pool, delivery)
        elif delivery.invocation.again:
            self._tasks.create_task(self._place_again(pool, delivery), name="place-again")
        else:
            self._pool.offer(pool, delivery)

    def _on_change(self, change: Change) -> None:
        self._shedder.look()
        for key in change.retired_keys:
            self._pool.retire_version(key)

    # --- pool.Services ----------------------------------------------------------------------------------------
    async def sandbox(self, version: FunctionVersion, *, provisioned: bool = False) -> Sandbox:
        return await self._new_sandbox(version, provisioned)

    async def take_slot(self, version: FunctionVersion, run_id: str, sandbox_id: str) -> slots.Slot:
        account = await self._concurrency.account(version.account, version.region)
        return await slots.take_slot(
            self._stores.coordination,
            worker_id=self.id,
            sandbox_id=sandbox_id,
            run_id=run_id,
            version=version,
            limit=account.on_demand(version.name),
            reserved=account.reserved_names(),
            starts_per_10s=self._settings.scaling_rate,
        )

    async def take_provisioned(self, version: FunctionVersion, sandbox_id: str, wanted: int) -> slots.Provision:
        return await slots.take_provisioned(self._stores.coordination, version, sandbox_id, wanted)

    async def provisioned_ready(self, version: FunctionVersion, sandbox_id: str) -> None:
        await slots.provisioned_ready(self._stores.coordination, version, sandbox_id)

    def lack_room(self) -> None:
        self._longest_wait_s = max(self._longest_wait_s, self._settings.scale_up_wait_seconds)

    async def release_slot(self, sandbox: Sandbox) -> None:
        release = slots.release_provisioned if sandbox.provisioned else slots.release_slot
        with contextlib.suppress(Unavailable):  # it expires by itself
            await release(self._stores.coordination, sandbox.version, sandbox.id)

    async def attach(self, pool: VersionPool, member: Member) -> None:
        async with member.attaching:
            while self._broker.alive and not member.retiring and not member.consumes(epoch := pool.epoch):
                try:
                    await self._consume(pool, member, epoch)
                except ChannelClosed as exc:
                    if exc.reply_code == NOT_FOUND:
                        await self._raise_epoch(pool, epoch)
                    else:
                        log.warning("no consumer", extra={"action": "attach_failed", "reason": str(exc)})
                        await asyncio.sleep(ATTACH_PAUSE_S)
                except Unavailable as exc:  # if the connection is gone, `_attach_all` runs when it is back
                    log.warning("no consumer", extra={"action": "attach_failed", "reason": str(exc)})
                    await asyncio.sleep(ATTACH_PAUSE_S)

    async def _raise_epoch(self, pool: VersionPool, seen: int) -> None:
        """The home node of that epoch's queue is down: everybody moves on to the next one's."""
        try:
            epoch = await slots.raise_epoch(self._stores.coordination, pool.version.key, seen)
        except Unavailable as exc:
            log.warning("epoch not raised", extra={"action": "epoch_failed", "reason": str(exc)})
            await asyncio.sleep(ATTACH_PAUSE_S)
        else:
            self._pool.move(pool, epoch)

    async def _consume(self, pool: VersionPool, member: Member, epoch: int) -> None:
        """A new channel and consumer for the member; the old one, if any, ends."""
        await self._end_consumer(member)
        old = member.lane
        lane = Lane(await self._broker.channel(prefetch=1), self._answers)
        try:
            queue = await topology.declare_invoke(lane.channel, pool.version.key, epoch)
            member.lane, member.epoch = lane, epoch
            if old is not None:
                self._tasks.create_task(old.close(), name=f"close-{member.sandbox.id}")
            member.tag = await lane.channel.consume(
                queue,
                functools.partial(self._on_warm, pool, member, lane),
                arguments={"x-priority": member.priority},
                on_cancel=functools.partial(self._on_cancelled, pool, member, lane),
            )
        except Unavailable:
            await lane.channel.close()
            raise
        lane.channel.closed.add_done_callback(lambda _closed: self._on_cancelled(pool, member, lane))

    def _on_cancelled(self, pool: VersionPool, member: Member, lane: Lane) -> None:
        """The broker ended a consumer (the queue's node died, or the queue was deleted) or closed its channel."""
        if member.lane is lane and self._broker.alive:
            member.tag = ""
            self._node_loss.announce()
            self.reattach(pool, member)

    async def _attach_anew(self, pool: VersionPool, member: Member) -> None:
        """Others may have moved on already, and the queue's node may be back meanwhile."""
        with contextlib.suppress(Unavailable):
            self._pool.move(pool, await slots.current_epoch(self._stores.coordination, pool.version.key))
        await self.attach(pool, member)

    def reattach(self, pool: VersionPool, member: Member) -> None:
        if not member.retiring and not self._pool.draining:
            self._tasks.create_task(self._attach_anew(pool, member), name=f"attach-{member.sandbox.id}")

    async def detach(self, member: Member) -> None:
        async with member.attaching:
            await self._end_consumer(member)

    @staticmethod
    async def _end_consumer(member: Member) -> None:
        lane = member.lane
        if lane is None or not lane.is_open or not member.tag:
            return
        tag, member.tag = member.tag, ""
        with contextlib.suppress(HearthError):  # a closed channel delivers nothing either
            await lane.channel.cancel(tag)

    async def hand_back(self, delivery: Delivery) -> None:
        await self._republish(delivery, *topology.way_in(delivery.invocation))

    async def forward(self, delivery: Delivery, worker_id: str) -> None:
        await self._republish(delivery, "", topology.worker_queue(worker_id))

    async def claim(self, claim: str) -> bool:
        try:
            return await self._claimant.take(claim)
        except Unavailable as exc:
            log.warning("task not claimed", extra={"action": "not_claimed", "claim": claim, "reason": str(exc)})
            # it may be ours all the same: then it ends so
            self.finished(
                claim, InvocationResult(Outcome.LOST, detail="The task could not be claimed; it did not run.")
            )
            return False

    def finished(self, claim: str, result: InvocationResult) -> None:
        task = self._tasks.create_task(self._claimant.finish(claim, result), name="finish-claim")
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def _republish(self, delivery: Delivery, exchange: str, routing_key: str) -> None:
        """Publish anew, confirmed, then acknowledge: never nack, which can come straight back."""
        invocation = delivery.invocation
        properties = envelope.invocation_properties(
            invocation, correlation_id=delivery.correlation_id, reply_to=delivery.reply_to
        )
        try:
            await slots.forget_start(self._stores.coordination, invocation.run_id)
            if self._publisher is None:
                raise Unavailable("no connection to the broker")
            try:
                await self._publisher.publish_confirmed(exchange, routing_key, invocation.payload, properties)
            except PublishRefused:  # a broker node died: of the version's queue, or placement has no leader now
                await asyncio.sleep(ELECTION_S)
                await self._publisher.publish_confirmed(topology.PLACEMENT, "", invocation.payload, properties)
        except HearthError as exc:
            if delivery.ours:
                delivery.answer(InvocationResult(Outcome.LOST, detail=f"The request could not be handed back: {exc}"))
            return
        delivery.drop()

    # --- what happens by itself -------------------------------------------------------------------------------
    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(slots.HEARTBEAT_S)
            await self._beat()
            self._pool.reap(self._settings.idle_seconds)

    async def _beat(self) -> None:
        pool = self._pool
        counters = pool.counters
        figures: dict[str, int | str] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "isolation": self._isolation,
            **self._offer,
            "capacity": pool.capacity,
            "sandboxes": sum(1 for _ in pool.members()),
            "busy": pool.busy,
            "starting": sum(one.starting for one in pool.versions.values()),
            "waiting": pool.waiting,
            "wait_ms": int(self._longest_wait_s * 1000),
            "draining": int(pool.draining),
            "cold_starts": counters.cold_starts,
            "invocations": counters.invocations,
            "errors": counters.errors,
        }
        self._longest_wait_s = 0.0
        try:
            self._fleet = await register.heartbeat(
                self._stores.coordination, self.id, pool.held(), figures, self._families
            )
        except Unavailable as exc:
            log.warning("heartbeat failed", extra={"action": "heartbeat_failed", "reason": str(exc)})
        await self._yield_to_exact()

    async def _yield_to_exact(self) -> None:
        """What we stand in for belongs to whoever has it installed, our sandboxes' work too."""
        if self._pool.draining:
            return
        for key, pool in list(self._pool.versions.items()):
            family = pool.version.family
            if family in self._stand_ins.served and family in self._fleet.families and not pool.retired:
                self._pool.retire_version(key)
        try:
            await self._stand_ins.follow(self._fleet.families)
        except HearthError as exc:
            log.warning("placements not followed", extra={"action": "follow_failed", "reason": str(exc)})

    async def _watch(self) -> None:
        """While requests wait: answer those that waited too long, offer others to idle sandboxes elsewhere."""
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
        self._longest_wait_s = max(self._longest_wait_s, waited_s)
        if waited_s > self._settings.placement_wait_seconds:
            version_pool.waiting.remove(delivery)
            delivery.answer(InvocationResult(Outcome.THROTTLED, detail="ConcurrentInvocationLimitExceeded"))
        elif time.monotonic() < self._node_lost_s + ELECTION_S:
            return  # publishes to a queue without a leader are stuck for long; a sandbox here may be free before
        elif self._fleet.workers > 1 and held_s > placement.offer_after_s(waited_s - held_s):
            version_pool.waiting.remove(delivery)
            # a task: while a broker node dies the confirm may be long in coming, and others wait here
            self._tasks.create_task(self.hand_back(delivery), name="offer-back")
