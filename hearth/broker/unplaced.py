"""Answers for requests that no worker took: the wait for room ran out, or no worker offers the runtime.

Every gateway consumes both queues; the reply goes to whichever process asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import pika
from pika.channel import Channel as PikaChannel

from hearth.broker import envelope, topology
from hearth.broker.connection import Broker, Channel
from hearth.model.invocation import InvocationResult, Outcome
from hearth.model.runtime import fleet_offer

log = logging.getLogger(__name__)

NO_WORKER = "No worker is running. Start one with `hearth up`."
NO_RUNTIME = "No worker offers the runtime {family}. `hearth runtimes` lists what this fleet runs."


class UnplacedAnswers:
    """`living`: the workers whose heartbeats are current, id -> figures (see hearth.model.runtime.fleet_offer)."""

    def __init__(self, broker: Broker, living: Callable[[], Awaitable[Mapping[str, Mapping[str, str]]]]) -> None:
        self._broker = broker
        self._living = living
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._broker.when_up(self._open)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _open(self) -> Channel:
        channel = await self._broker.channel(prefetch=64)
        await topology.declare_shared(channel)
        await channel.consume(topology.EXPIRED_QUEUE, self._on_expired)
        await channel.consume(topology.UNPLACEABLE_QUEUE, self._on_unplaceable)
        return channel

    def _on_expired(self, channel: PikaChannel, method: object, properties: pika.BasicProperties, body: bytes) -> None:
        self._spawn(self._answer(channel, method.delivery_tag, properties, expired=True))  # type: ignore[attr-defined]

    def _on_unplaceable(
        self, channel: PikaChannel, method: object, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._spawn(self._answer(channel, method.delivery_tag, properties, expired=False))  # type: ignore[attr-defined]

    def _spawn(self, answer: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(answer)  # owner: this object, ended in close()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, channel: PikaChannel, tag: int, properties: pika.BasicProperties, *, expired: bool) -> None:
        workers = await self._living()
        family = (properties.headers or {}).get("family", "?")
        if not workers:
            result = InvocationResult(Outcome.UNAVAILABLE, detail=NO_WORKER)
        elif expired and family in fleet_offer(workers.values()):
            result = InvocationResult(Outcome.THROTTLED, detail="ConcurrentInvocationLimitExceeded")
        else:  # a queue of it may be left of a worker that had it
            result = InvocationResult(Outcome.UNAVAILABLE, detail=NO_RUNTIME.format(family=family))
        if not channel.is_open:
            return  # the broker gives the message to another gateway
        channel.basic_ack(tag)
        if properties.reply_to:
            channel.basic_publish(
                "", properties.reply_to, b"", envelope.result_properties(result, properties.correlation_id)
            )
