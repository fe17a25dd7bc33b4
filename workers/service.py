"""One worker process: puts pool, consumers and placements together, and keeps their promises on the way out.

Order of the end: stop consuming, finish what runs, hand back what never started, Shutdown phase of every sandbox, close
the broker last (its heartbeats keep unacknowledged deliveries ours meanwhile).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping

from hearth.broker import topology
from hearth.broker.connection import Broker, Channel
from hearth.broker.control import Change, ControlBus
from hearth.broker.node_loss import NodeLoss
from hearth.errors import HearthError, Unavailable
from hearth.model.function import FunctionVersion
from hearth.settings import Settings
from hearth.store import Stores, slots
from hearth.store import workers as register
from hearth.store.concurrency import ConcurrencyTable
from hearth.store.pipeline import Pipeline
from workers import runtimes
from workers.cold_starts import NewSandbox
from workers.consumers import Consumers
from workers.hand_back import HandBack
from workers.heartbeat import Heartbeat
from workers.late_answers import LateAnswers
from workers.placements import Placements
from workers.pool import Pool
from workers.runtimes import Runtime
from workers.shedding import Shedder
from workers.slot_claims import SlotClaims
from workers.task_claims import TaskClaims
from workers.waiting import WATCH_S, WaitingWatch

log = logging.getLogger(__name__)

#: the longest function timeout, and an Init before it: what a worker that drains waits for
LONGEST_RUN_S = 900.0 + 30.0


class Worker:
    """Its `run` is the life of the process.

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
        self._offer = offer
        self._capacity = capacity
        self._isolation = isolation
        self._late_answers = LateAnswers()
        self._pipeline = Pipeline(stores.state)
        self._hand_back = HandBack(stores.coordination)
        self._node_loss = NodeLoss(broker, self._on_node_loss)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain. Raises what a broken invariant raises."""
        async with asyncio.TaskGroup() as tasks:
            self._compose(tasks)
            self._broker.on_down.append(self._on_down)
            for opening in (self._open_publisher, self._placements.open, self._consumers.attach_all):
                await self._broker.when_up(opening)
            # Only now: who hears of this worker may send it what it offers.
            await self._heartbeat.beat()
            await self._node_loss.start()
            control = ControlBus(self._broker)
            await control.start(self._on_change)
            lives = {
                "heartbeat": self._heartbeat.run(),
                "watch": self._waiting.run(),
                "claims": self._claims.run(),
                "pipeline": self._pipeline.run(),
                "shed": self._shedder.run(),
            }
            living = [tasks.create_task(life, name=name) for name, life in lives.items()]
            log.info("worker ready", extra={"action": "worker_ready", "worker": self.id, "capacity": self._capacity})
            await stop.wait()  # no deadline: the life of the worker
            await self._drain()
            await self._claims.settled()
            for task in living:
                task.cancel()
        with contextlib.suppress(HearthError):
            await register.leave(self._stores.coordination, self.id)

    def _compose(self, tasks: asyncio.TaskGroup) -> None:
        """Everything that lives in this TaskGroup."""
        settings, stores = self._settings, self._stores
        self._tasks = tasks
        families = sorted(family for family, runtime in self._offer.items() if not runtime.stands_for)
        concurrency = ConcurrencyTable(stores.state, settings.account_concurrency)
        claimed = SlotClaims(self.id, concurrency, stores.coordination, starts_per_10s=settings.scaling_rate)
        self._claims = TaskClaims(self._pipeline, self.id, tasks)
        self._consumers = Consumers(self._broker, claimed, tasks, self._node_loss, self._late_answers)
        self._pool = self._consumers.pool = Pool(
            tasks,
            self._new_sandbox,
            self._consumers,
            claimed,
            self._claims,
            self._hand_back,
            worker_id=self.id,
            capacity=self._capacity,
            inits=settings.concurrent_inits or 2 * (os.cpu_count() or 1),
            stream_rate=settings.stream_bytes_per_second,
        )
        self._placements = Placements(
            self._broker,
            stores,
            self._pool,
            self._consumers,
            self._hand_back,
            tasks,
            worker_id=self.id,
            families=families,
            stand_ins=self._offer.keys() - set(families),
            wait_ms=int(settings.placement_wait_seconds * 1000),
            unseal=self._unseal,
        )
        self._waiting = WaitingWatch(
            self._pool, self._hand_back, tasks, placement_wait_s=settings.placement_wait_seconds
        )
        self._pool.cold_starts.on_lack_of_room = self._on_lack_of_room
        self._heartbeat = Heartbeat(
            stores.coordination,
            self._pool,
            self._placements,
            self._waiting,
            worker_id=self.id,
            isolation=self._isolation,
            offer=runtimes.figures(self._offer),
            families=families,
            idle_s=settings.idle_seconds,
        )
        self._shedder = Shedder(self._pool, concurrency, stores.coordination)

    async def _drain(self) -> None:
        log.info("worker drains", extra={"action": "worker_drains", "busy": self._pool.busy})
        self._pool.drain()
        await self._placements.stop()
        for delivery in self._pool.take_waiting():
            await self._hand_back.to_all(delivery)
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
            await self._hand_back.to_all(delivery)

    # --- what happens to it -----------------------------------------------------------------------------------
    async def _open_publisher(self) -> Channel:
        channel = await self._broker.channel()
        await topology.declare_shared(channel)
        await channel.confirm_publishes()
        self._hand_back.publisher = channel
        if channel.replicated:
            self._late_answers.open(channel)
        return channel

    def _on_down(self) -> None:
        self._pool.forget_dead()
        if self._broker.replicated:
            self._late_answers.lost()
            self._on_node_loss()

    def _on_node_loss(self) -> None:
        """Callers will send again what they wait for: say what is here."""
        self._waiting.node_lost_s = time.monotonic()
        self._tasks.create_task(self._mark_held(), name="mark-held")

    async def _mark_held(self) -> None:
        held = [one.invocation.run_id for pool in self._pool.versions.values() for one in pool.deliveries()]
        with contextlib.suppress(Unavailable):  # without marks a request may run twice
            await slots.mark_started(self._stores.coordination, self.id, held)

    def _on_change(self, change: Change) -> None:
        self._shedder.look()
        for key in change.retired_keys:
            self._pool.retire_version(key)

    def _on_lack_of_room(self) -> None:
        self._waiting.longest_wait_s = max(self._waiting.longest_wait_s, self._settings.scale_up_wait_seconds)
