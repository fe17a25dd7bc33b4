"""A function's events beyond its share, in a queue of their own, consumed with the function's own prefetch.

The queue is noted in `state` before it exists and until it is deleted, so that whoever holds the partition next finds
it. It is deleted only when it is empty and nobody consumes it, which the broker checks. A quorum queue can't be
deleted on conditions; with several broker nodes it stays, out of use, until it is needed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from hearth.broker import events as queues
from hearth.broker.connection import Broker, Channel
from hearth.broker.event_messages import Delivery, EventPublisher, consume_events
from hearth.errors import HearthError
from hearth.model.event import Event
from hearth.store import Store, events

log = logging.getLogger(__name__)

#: empty for this long: the function is within its share again
QUIET_S = 2.0
PAUSE_S = 0.5


class AsideEnded(HearthError):
    """It was deleted meanwhile; the event goes elsewhere."""


class Aside:
    """`run` is its life; `take` puts an event into it. `carry_out` attempts an event and settles its message."""

    def __init__(
        self,
        broker: Broker,
        state: Store,
        publisher: EventPublisher,
        *,
        partition: int,
        token: int,
        arn: str,
        share: int,
        max_bytes: int,
        carry_out: Callable[[Delivery], Awaitable[None]],
    ) -> None:
        self._broker = broker
        self._state = state
        self._publisher = publisher
        self._partition = partition
        self._token = token
        self._arn = arn
        self._share = share
        self._max_bytes = max_bytes
        self._carry_out = carry_out
        self._queue = queues.aside_queue(partition, arn)
        #: set while events may be put into it, and when it has ended
        self._open = asyncio.Event()
        self.ended = False
        self._taking = 0
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        #: raised by everything that happens here
        self._activity = 0
        self._channel: Channel | None = None

    @property
    def running(self) -> int:
        """Its events that run or are on their way into it; fewer than the share: none waits in it."""
        return self._running + self._taking

    async def take(self, event: Event) -> None:
        """Returns when the broker has it. Raises AsideEnded, PublishRefused when it is full, Unavailable."""
        await self._open.wait()
        if self.ended:
            raise AsideEnded(self._queue)
        self._taking += 1
        self._note_activity()
        try:
            await self._publisher.put(event, self._queue)
        finally:
            self._taking -= 1

    async def run(self, stopping: asyncio.Event, quiesced: Callable[[], None]) -> None:
        """Until it is empty and deleted, or `stopping`; then `quiesced` is called once nothing is delivered any more.

        Raises LeaseLost. What still runs then is finished before this returns.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                while not stopping.is_set() and not await self._serve(tasks, stopping):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stopping.wait(), PAUSE_S)
                quiesced()
        finally:
            self.ended = True
            self._open.set()
            await self._close()

    async def _serve(self, tasks: asyncio.TaskGroup, stopping: asyncio.Event) -> bool:
        """Consume until it is deleted (True), or until the channel is lost or it filled again (False)."""
        await self._close()
        try:
            await events.note_aside(self._state, self._partition, self._token, self._arn, exists=True)
            await queues.declare_aside(self._broker, self._partition, self._arn, self._max_bytes)
            self._channel = channel = await self._broker.channel(prefetch=self._share)
            tag = await consume_events(channel, self._queue, lambda delivery: self._on_delivery(tasks, delivery))
            self._open.set()
            await self._quiet(channel, stopping)
            self._open.clear()
            await channel.cancel(tag)
            if stopping.is_set():
                return True
            await self._idle.wait()  # deadline: that of the invocations that run
            return await self._delete(channel)
        except events.LeaseLost:
            raise
        except HearthError as exc:
            log.warning("queue aside lost", extra={"action": "aside_lost", "queue": self._queue, "error": str(exc)})
            return False
        finally:
            self._open.clear()

    async def _close(self) -> None:
        """What it was delivered and has not acknowledged belongs to the broker again."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await asyncio.shield(channel.close())

    async def _quiet(self, channel: Channel, stopping: asyncio.Event) -> None:
        """Until it can be deleted, or the channel is gone, or `stopping`."""
        stop = asyncio.ensure_future(stopping.wait())
        ends: set[asyncio.Future[Any]] = {stop, channel.closed}
        try:
            while True:
                before = self._activity
                done, _ = await asyncio.wait(ends, timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    return
                quiet = before == self._activity and not self.running
                if quiet and not self._broker.replicated:
                    return
        finally:
            stop.cancel()

    async def _delete(self, channel: Channel) -> bool:
        if not await queues.delete_if_empty(channel, self._queue):
            return False
        await events.note_aside(self._state, self._partition, self._token, self._arn, exists=False)
        return True

    def _note_activity(self) -> None:
        self._activity += 1

    def _on_delivery(self, tasks: asyncio.TaskGroup, delivery: Delivery) -> None:
        self._note_activity()
        self._running += 1
        self._idle.clear()
        tasks.create_task(self._one(delivery))

    async def _one(self, delivery: Delivery) -> None:
        try:
            await self._carry_out(delivery)
        finally:
            self._running -= 1
            self._note_activity()
            if not self._running:
                self._idle.set()
