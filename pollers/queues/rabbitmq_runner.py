"""Queues of RabbitMQ of mappings (Amazon MQ's source): consumed, gathered to batches, run, acknowledged.

One batch at a time, in the queue's order. A batch is acknowledged when its function has returned; otherwise everything
unacknowledged goes back where it was, by closing the channel, and comes again after a pause, so no message overtakes
another. Messages leave by success or by the queue's own rules (TTL, delivery limit).
Source: Lambda Developer Guide, "Using Lambda with Amazon MQ".
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from pika import BasicProperties
from pika.channel import Channel as PikaChannel

from hearth.aws_clients import AwsClients
from hearth.broker.connection import Broker, Channel, ChannelClosed
from hearth.errors import HearthError
from hearth.invoker import Invoker
from hearth.model.filter_patterns import compile_filters
from hearth.model.invocation import Outcome
from hearth.model.mapping import QUEUE, EventSourceMapping, SourceKind, Unit
from hearth.settings import Settings
from hearth.store import Stores
from hearth.store.functions import FunctionTable
from hearth.store.mappings import MappingTable
from pollers.mapping_target import MappingTarget
from pollers.queues.mq_endpoints import BrokerNotFound, MqEndpoints
from pollers.queues.queue_batch import QueueBatch
from pollers.queues.results import Results, pause
from pollers.queues.rmq_event import encoded, envelope, rmq_record
from pollers.runners import Lease

#: without MaximumBatchingWindowInSeconds, as on AWS
DEFAULT_WINDOW_S = 0.5
#: a batch runs and the next one is at hand
_BATCHES_HELD = 2
_MOST_HELD = 65_535
#: after as many failures in a row as this, 64 s between two tries
_MOST_DOUBLINGS = 6


class RabbitMQRunner:
    """Implements pollers.runners.Runner."""

    kinds = (SourceKind.RABBITMQ,)
    look_again_s = 300.0

    def __init__(self, settings: Settings, stores: Stores, aws: AwsClients, invoker: Invoker) -> None:
        self._settings = settings
        self._endpoints = MqEndpoints(settings, aws)
        self._invoker = invoker
        self._functions = FunctionTable(stores.state)
        self._table = MappingTable(stores.state, stores.coordination)

    async def prepare(self, mapping: EventSourceMapping) -> None:
        """A queue keeps what is sent to it."""

    async def units(self, mapping: EventSourceMapping) -> list[str]:
        return [QUEUE]

    async def run(self, unit: Unit, lease: Lease) -> None:
        """Raises HearthError when the broker is not to be found or reached, or has no such queue."""
        mapping = unit.mapping
        place = (mapping.account, mapping.region, mapping.function)
        target = MappingTarget(self._settings, self._functions, self._invoker, place, mapping.qualifier)
        broker = await Broker.connect(await self._endpoints.url_of(mapping), name=f"mapping {mapping.uuid}")
        try:
            await _Consuming(broker, unit, lease, target, self._table, self._settings.max_payload_bytes).run()
        finally:
            await asyncio.shield(broker.close())


@dataclass(frozen=True, slots=True)
class _Message:
    tag: int
    record: dict[str, Any]


class _Consuming:
    """One queue while its lease is ours."""

    def __init__(
        self,
        broker: Broker,
        unit: Unit,
        lease: Lease,
        target: MappingTarget,
        table: MappingTable,
        most_bytes: int,
    ) -> None:
        mapping = self._mapping = unit.mapping
        self._broker = broker
        self._stopping = lease.stopping
        self._target = target
        self._queue = mapping.queues[0]
        self._window_s = mapping.batch_window_s or DEFAULT_WINDOW_S
        self._match = compile_filters(mapping.filters, mapping.kind)
        head, tail = envelope(mapping.source_arn, self._queue, mapping.virtual_host)
        self._empty = QueueBatch[_Message](head, tail, mapping.batch_size, most_bytes)
        self._waiting: deque[_Message] = deque()
        #: something has come, or it is time to stop, or the channel is gone
        self._news = asyncio.Event()
        #: the broker has ended the consumer: the queue was deleted, or its node died
        self._cancelled = False
        #: tag of the last message that was filtered out and is not acknowledged yet; 0: none
        self._refused = 0
        self._failures = 0
        self._results = Results(table, unit)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            waking = tasks.create_task(self._wake_at_stop())
            while not self._stopping.is_set():
                try:
                    good = await self._consume()
                except HearthError as exc:
                    await self._results.problem(exc)
                    good = False
                if not good:
                    await pause(self._stopping, 2.0 ** min(self._failures, _MOST_DOUBLINGS))
                    self._failures += 1
            waking.cancel()

    async def _consume(self) -> bool:
        """Batch after batch over one channel. False: a batch failed, or the channel did; all goes back to the queue.

        Raises HearthError when there is no such queue, or no connection.
        """
        self._waiting.clear()
        self._cancelled, self._refused = False, 0
        channel = await self._broker.channel(prefetch=min(_BATCHES_HELD * self._mapping.batch_size, _MOST_HELD))
        channel.closed.add_done_callback(lambda _: self._news.set())
        try:
            await channel.consume(self._queue, self._on_delivery, tag=self._mapping.uuid, on_cancel=self._on_cancel)
        except ChannelClosed as exc:
            raise BrokerNotFound(f"{self._queue} of {self._mapping.virtual_host} can't be consumed: {exc}") from exc
        try:
            while not self._stopping.is_set() and channel.is_open:
                batch = await self._gather(channel)
                if batch is None:
                    break
                if not await self._run_batch(channel, batch):
                    return False
            return self._stopping.is_set()
        finally:
            await asyncio.shield(channel.close())

    def _on_delivery(self, _raw: PikaChannel, method: Any, properties: BasicProperties, body: bytes) -> None:
        record = rmq_record(properties, body, redelivered=method.redelivered)
        self._waiting.append(_Message(method.delivery_tag, record))
        self._news.set()

    def _on_cancel(self) -> None:
        self._cancelled = True
        self._news.set()

    async def _gather(self, channel: Channel) -> QueueBatch[_Message] | None:
        """None: it is time to stop, or the channel is gone."""
        batch = self._empty.empty_copy()
        closes_at_s: float | None = None
        while True:
            while self._waiting:
                message = self._waiting[0]
                if not self._match(message.record):
                    self._refused = self._waiting.popleft().tag
                    continue
                data = encoded(message.record)
                if not batch.takes(data):
                    return batch
                batch.add(self._waiting.popleft(), data)
                if closes_at_s is None:
                    closes_at_s = time.monotonic() + self._window_s
            if batch.room <= 0:
                return batch
            if self._refused and not batch.messages:  # nothing before it is unacknowledged
                channel.raw.basic_ack(self._refused, multiple=True)
                self._refused = 0
            left_s = None if closes_at_s is None else closes_at_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return batch
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):  # without a batch: until something comes
                    await self._news.wait()
            if self._stopping.is_set() or self._cancelled or not channel.is_open:
                return None

    async def _run_batch(self, channel: Channel, batch: QueueBatch[_Message]) -> bool:
        result = await self._target.run_now(batch.payload())
        if result.outcome is not Outcome.OK:
            await self._results.failed(result)
            return False
        await self._results.done()
        self._failures = 0
        if channel.is_open:
            # batches are in the order of their deliveries: this one's last covers what was filtered out too
            last = batch.messages[-1].tag
            channel.raw.basic_ack(last, multiple=True)
            if self._refused < last:
                self._refused = 0
        return True

    async def _wake_at_stop(self) -> None:
        await self._stopping.wait()  # no deadline: the life of the unit
        self._news.set()
