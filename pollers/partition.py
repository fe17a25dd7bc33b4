"""One leased partition of the events: consumed, shared out fairly among its functions, every message settled.

A message is acknowledged only after what became of its event is durable. What a lost channel or a dead process held
is given by the broker to whoever consumes next: an event may run twice, never not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from dataclasses import replace
from typing import Any

from hearth.broker import events as queues
from hearth.broker.connection import Broker, Channel, PublishRefused
from hearth.broker.event_messages import Delivery, EventPublisher, consume_events
from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.event import Event
from hearth.settings import Settings
from hearth.store import Store, events
from pollers.aside import Aside, AsideEnded
from pollers.delays import Delays
from pollers.event_dispatcher import EventDispatcher
from pollers.event_retry import rounded_delay_s
from pollers.sharing import Place, place_of

log = logging.getLogger(__name__)

#: delivered and unsettled at once from the common queue; at 1 MB each, what a partition may take
PREFETCH = 64
#: of these, how many may run: the others are on their way aside
ROOM = 48
#: beyond as many functions with queues aside in one partition, events of further ones are put off
MAX_ASIDES = 200
#: an event whose function's queue aside is full, or one too many, comes back after this
PUT_OFF_S = 32.0
PAUSE_S = 0.5


class Partition:
    """`run` is its life, `stop` asks it to end; it has then given up its consumers when `quiesced` is set."""

    def __init__(
        self,
        number: int,
        token: int,
        *,
        settings: Settings,
        broker: Broker,
        state: Store,
        publisher: EventPublisher,
        dispatcher: EventDispatcher,
    ) -> None:
        self.number = number
        self.quiesced = asyncio.Event()
        self._token = token
        self._share = settings.event_concurrency
        self._max_bytes = settings.event_queue_bytes
        self._broker = broker
        self._state = state
        self._publisher = publisher
        self._dispatcher = dispatcher
        self._stopping = asyncio.Event()
        self._running: Counter[str] = Counter()
        self._held = 0
        self._asides: dict[str, Aside] = {}
        #: consumers that are still there: the common one and those of the queues aside
        self._consuming = 0
        self._channel: Channel | None = None

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop` and until what runs has ended; cancelled, what runs is left to the next holder."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._began()
                self._delays = self._make_delays(tasks)
                await self._open_known()
                while not self._stopping.is_set():
                    await self._serve()
                self._quiet()
        finally:
            self.quiesced.set()
            await self._close()
            await self._delays.close()

    # --- the common queues ------------------------------------------------------------------------------------
    async def _serve(self) -> None:
        """Consume until the channel is lost or we are to stop."""
        await self._close()
        try:
            self._channel = channel = await self._broker.channel(prefetch=PREFETCH)
            tag = await consume_events(channel, queues.partition_queue(self.number), self._on_delivery)
            stop = asyncio.ensure_future(self._stopping.wait())
            ends: set[asyncio.Future[Any]] = {stop, channel.closed}
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stop.cancel()
            if self._stopping.is_set():
                return await channel.cancel(tag)
            log.warning("partition lost its channel", extra={"action": "partition_lost", "partition": self.number})
        except HearthError as exc:
            log.warning(
                "partition not consumed",
                extra={"action": "partition_not_consumed", "partition": self.number, "error": str(exc)},
            )
        await self._pause()

    def _on_delivery(self, delivery: Delivery) -> None:
        event = delivery.event
        if event is None:
            self._tasks.create_task(self._keep_unreadable(delivery))
        elif event.due_at_ms > now_ms():  # handed on by an earlier holder
            self._tasks.create_task(self._make_wait(delivery))
        else:
            self._place(delivery)

    def _on_due(self, delivery: Delivery) -> None:
        """From a delay's queue. Its time has come, whatever a clock that was set meanwhile says."""
        if delivery.event is None:
            self._tasks.create_task(self._keep_unreadable(delivery))
        else:
            self._place(delivery)

    def _place(self, delivery: Delivery) -> None:
        """Run it or set it aside; it is due."""
        event = delivery.event
        assert event is not None
        aside = self._asides.get(event.arn)
        running = self._running[event.arn] + (aside.running if aside is not None else 0)
        if place_of(running=running, share=self._share, held=self._held, room=ROOM) is Place.ASIDE:
            self._tasks.create_task(self._put_aside(delivery))
            return
        self._running[event.arn] += 1
        self._held += 1
        self._tasks.create_task(self._here(delivery, event.arn))

    async def _here(self, delivery: Delivery, arn: str) -> None:
        try:
            await self._carry_out(delivery)
        finally:
            self._held -= 1
            self._running[arn] -= 1
            if not self._running[arn]:
                del self._running[arn]

    async def _carry_out(self, delivery: Delivery) -> None:
        """Attempt the event; acknowledge its message once what follows is durable."""
        if delivery.event is None:
            return await self._keep_unreadable(delivery)
        attempted = await self._dispatcher.attempt(delivery.event)
        while delivery.alive:
            try:
                await self._dispatcher.settle(attempted, self._delay)
                return delivery.acknowledge()
            except HearthError as exc:
                self._warn_unsettled(delivery, exc)
                await asyncio.sleep(PAUSE_S)
        return None

    async def _delay(self, event: Event, delay_s: float) -> None:
        """Raises HearthError."""
        try:
            await self._delays.put(event, delay_s)
        except events.LeaseLost:  # the next holder makes it wait
            due_at_ms = now_ms() + round(delay_s * 1000)
            await self._publisher.hand_on(replace(event, due_at_ms=due_at_ms), self.number)

    async def _make_wait(self, delivery: Delivery) -> None:
        event = delivery.event
        assert event is not None
        while delivery.alive:
            try:
                await self._delay(event, rounded_delay_s((event.due_at_ms - now_ms()) / 1000))
                return delivery.acknowledge()
            except HearthError as exc:
                self._warn_unsettled(delivery, exc)
                await asyncio.sleep(PAUSE_S)
        return None

    async def _keep_unreadable(self, delivery: Delivery) -> None:
        while delivery.alive:
            try:
                await events.keep_unreadable(self._state, repr(delivery.properties), delivery.body)
                return delivery.acknowledge()
            except HearthError as exc:
                self._warn_unsettled(delivery, exc)
                await asyncio.sleep(PAUSE_S)
        return None

    # --- queues aside -----------------------------------------------------------------------------------------
    async def _open_known(self) -> None:
        """The queues that an earlier holder has left."""
        while not self._stopping.is_set():
            try:
                await self._delays.open_known()
                for arn in await events.asides(self._state, self.number):
                    self._aside(arn)
                return
            except HearthError as exc:
                log.warning("queues not known yet", extra={"action": "queues_unknown", "error": str(exc)})
                await self._pause()

    def _aside(self, arn: str) -> Aside:
        aside = self._asides.get(arn)
        if aside is None or aside.ended:
            aside = self._asides[arn] = Aside(
                self._broker,
                self._state,
                self._publisher,
                partition=self.number,
                token=self._token,
                arn=arn,
                share=self._share,
                max_bytes=self._max_bytes,
                carry_out=self._carry_out,
            )
            self._began()
            self._tasks.create_task(self._keep_aside(arn, aside))
        return aside

    async def _keep_aside(self, arn: str, aside: Aside) -> None:
        try:
            await aside.run(self._stopping, self._quiet)
        except events.LeaseLost:
            log.warning("partition has another holder", extra={"action": "lease_lost", "partition": self.number})
            self._stopping.set()
            self._quiet()
        finally:
            if self._asides.get(arn) is aside:
                del self._asides[arn]

    async def _put_aside(self, delivery: Delivery) -> None:
        """Move it to its function's queue aside; acknowledged when the broker has it there."""
        event = delivery.event
        assert event is not None
        while delivery.alive:
            if self._stopping.is_set():
                return delivery.give_back()
            try:
                if event.arn not in self._asides and len(self._asides) >= MAX_ASIDES:
                    await self._delay(event, PUT_OFF_S)
                else:
                    await self._move(delivery)
                return delivery.acknowledge()
            except AsideEnded:
                continue
            except HearthError as exc:
                self._warn_unsettled(delivery, exc)
                await self._pause()
        return None

    async def _move(self, delivery: Delivery) -> None:
        event = delivery.event
        assert event is not None
        try:
            await self._aside(event.arn).take(event)
        except PublishRefused:  # full
            await self._delay(event, PUT_OFF_S)

    # --- small things -----------------------------------------------------------------------------------------
    def _make_delays(self, tasks: asyncio.TaskGroup) -> Delays:
        return Delays(
            self._broker,
            self._state,
            self._publisher,
            partition=self.number,
            token=self._token,
            max_bytes=self._max_bytes,
            tasks=tasks,
            stopping=self._stopping,
            on_due=self._on_due,
            began=self._began,
            quiet=self._quiet,
        )

    def _began(self) -> None:
        self._consuming += 1

    def _quiet(self) -> None:
        self._consuming -= 1
        if self._consuming == 0 and self._stopping.is_set():
            self.quiesced.set()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), PAUSE_S)

    async def _close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await asyncio.shield(channel.close())

    def _warn_unsettled(self, delivery: Delivery, error: HearthError) -> None:
        log.warning(
            "event not settled yet",
            extra={
                "action": "event_unsettled",
                "partition": self.number,
                "request_id": delivery.properties.message_id,
                "error": str(error),
            },
        )
