"""The Invoker over RabbitMQ: publish with a direct reply-to address, match replies by correlation id."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pika
from pika.channel import Channel as PikaChannel
from pika.exceptions import AMQPError

from hearth.broker import envelope, topology
from hearth.broker.connection import Broker, Channel
from hearth.clock import Deadline
from hearth.errors import InvocationTimedOut, Unavailable
from hearth.model.invocation import Invocation, InvocationResult, Outcome

REPLY_TO = "amq.rabbitmq.reply-to"


class _Pending:
    """One awaited reply; a large one arrives in parts."""

    __slots__ = ("future", "parts")

    def __init__(self, future: asyncio.Future[InvocationResult]) -> None:
        self.future = future
        self.parts: list[bytes] | None = None


class BrokerInvoker:
    """Implements hearth.invoker.Invoker. Direct reply-to lives with its channel, so one channel does both."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: Channel | None = None
        self._pending: dict[str, _Pending] = {}
        self._next_id = 0
        #: version key -> epoch of its queue, where it isn't 0; learnt from replies
        self._epochs: dict[str, int] = {}

    async def start(self) -> None:
        self._broker.on_down.append(self._on_down)
        await self._broker.when_up(self._open)

    async def _open(self) -> None:
        channel = await self._broker.channel()
        await topology.declare_shared(channel)
        await channel.consume(REPLY_TO, self._on_reply, no_ack=True)
        self._channel = channel

    def _on_down(self) -> None:
        self._channel = None
        lost = InvocationResult(Outcome.LOST, detail="The connection to the broker was lost before the answer came.")
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_result(lost)

    async def invoke(self, invocation: Invocation, *, deadline: Deadline) -> InvocationResult:
        channel = self._channel
        if channel is None:
            raise Unavailable("no connection to the broker")
        epoch = self._epochs.get(invocation.version_key, 0)
        if epoch:
            invocation = replace(invocation, epoch=epoch)
        self._next_id += 1
        correlation_id = str(self._next_id)
        loop = asyncio.get_running_loop()
        pending = _Pending(loop.create_future())
        self._pending[correlation_id] = pending
        timer = loop.call_later(deadline.remaining_s, self._expire, pending, invocation.request_id)
        try:
            try:
                channel.raw.basic_publish(
                    topology.INVOKE,
                    topology.routing_key(invocation.version_key, invocation.epoch),
                    invocation.payload,
                    envelope.invocation_properties(invocation, correlation_id=correlation_id, reply_to=REPLY_TO),
                )
            except AMQPError as exc:
                raise Unavailable(f"the invocation could not be published: {exc!r}") from exc
            result = await pending.future
        finally:
            timer.cancel()
            del self._pending[correlation_id]
        if result.epoch != epoch and result.epoch:
            self._epochs[invocation.version_key] = result.epoch
        return result

    @staticmethod
    def _expire(pending: _Pending, request_id: str) -> None:
        if not pending.future.done():
            error = InvocationTimedOut(f"Invocation {request_id} got no answer in time; it may have run.")
            pending.future.set_exception(error)

    def _on_reply(self, _channel: PikaChannel, _method: object, properties: pika.BasicProperties, body: bytes) -> None:
        pending = self._pending.get(properties.correlation_id or "")
        if pending is None or pending.future.done():
            return  # its caller has given up
        if properties.type == envelope.PART:
            if pending.parts is None:
                pending.parts = []
            pending.parts.append(body)
            return
        if pending.parts is not None:
            body = b"".join([*pending.parts, body])
        pending.future.set_result(envelope.read_result(properties, body))
