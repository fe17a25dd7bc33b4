"""Events of one partition that wait for their next attempt: a queue for each delay, its head held here until it is due.

Within a queue all delays are equal, so the head is always due first and nothing waits behind something later. A held
event is unacknowledged: when this process or the broker dies, the broker has it, and its due time travels with it.
Not the broker's own TTL and dead-lettering: it has nobody to tell when the target refuses, a classic queue can lose
what it hands on when its node is killed, and a quorum queue that was killed in the middle holds on to it for minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hearth.broker import events as queues
from hearth.broker.connection import Broker, Channel
from hearth.broker.event_messages import Delivery, EventPublisher, consume_events
from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.event import Event
from hearth.store import Store, events

log = logging.getLogger(__name__)

#: of each queue; the next come as soon as these are under way
HELD = 16
PAUSE_S = 0.5


class Delays:
    """`put` makes an event wait; `on_due` gets its delivery when the time has come.

    `tasks` own the consumers; `began` and `quiet` are called for each of them.
    """

    def __init__(
        self,
        broker: Broker,
        state: Store,
        publisher: EventPublisher,
        *,
        partition: int,
        token: int,
        max_bytes: int,
        tasks: asyncio.TaskGroup,
        stopping: asyncio.Event,
        on_due: Callable[[Delivery], None],
        began: Callable[[], None],
        quiet: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._state = state
        self._publisher = publisher
        self._partition = partition
        self._token = token
        self._max_bytes = max_bytes
        self._tasks = tasks
        self._stopping = stopping
        self._on_due = on_due
        self._began = began
        self._quiet = quiet
        self._open: set[float] = set()
        self._channels: dict[str, Channel] = {}
        self._opening = asyncio.Lock()

    async def open_known(self) -> None:
        """The queues that an earlier holder of the partition has used. Raises Unavailable."""
        for delay_s in await events.delays(self._state, self._partition):
            await self._ensure(delay_s)

    async def put(self, event: Event, delay_s: float) -> None:
        """Returns when the broker has it. Raises LeaseLost, PublishRefused when the queue is full, Unavailable."""
        await self._ensure(delay_s)
        waiting = replace(event, due_at_ms=now_ms() + round(delay_s * 1000))
        await self._publisher.put(waiting, queues.delay_queue(self._partition, delay_s))

    async def close(self) -> None:
        """What is unacknowledged belongs to the broker again."""
        for channel in self._channels.values():
            await asyncio.shield(channel.close())

    async def _ensure(self, delay_s: float) -> None:
        if delay_s in self._open:
            return
        async with self._opening:
            if delay_s in self._open:
                return
            await events.note_delay(self._state, self._partition, self._token, delay_s)
            queue = await queues.declare_delay(self._broker, self._partition, delay_s, self._max_bytes)
            if not self._stopping.is_set():
                self._open.add(delay_s)
                self._began()
                self._tasks.create_task(self._keep(queue), name=queue).add_done_callback(lambda _task: self._quiet())

    async def _keep(self, queue: str) -> None:
        while not self._stopping.is_set():
            #: the consumer has ended: what is held here can go back without coming again
            ended = asyncio.Event()
            try:
                channel = await self._broker.channel(prefetch=HELD)
                self._channels[queue] = channel
                tag = await consume_events(channel, queue, functools.partial(self._on_delivery, ended))
                await self._until_stopping(channel.closed)
                if self._stopping.is_set():
                    return await channel.cancel(tag)
            except HearthError as exc:
                log.warning("delay queue lost", extra={"action": "delay_lost", "queue": queue, "error": str(exc)})
            finally:
                ended.set()
            await self._until_stopping(timeout_s=PAUSE_S)

    def _on_delivery(self, ended: asyncio.Event, delivery: Delivery) -> None:
        self._tasks.create_task(self._hold(ended, delivery))

    async def _hold(self, ended: asyncio.Event, delivery: Delivery) -> None:
        if delivery.event is not None:
            await self._until_stopping(timeout_s=max(0.0, (delivery.event.due_at_ms - now_ms()) / 1000))
        if self._stopping.is_set():
            await ended.wait()
            delivery.give_back()
        elif delivery.alive:
            self._on_due(delivery)

    async def _until_stopping(self, *ends: asyncio.Future[Any], timeout_s: float | None = None) -> None:
        """Until stopping, one of `ends`, or the time is over."""
        stop: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({stop, *ends}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stop
