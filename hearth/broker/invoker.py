"""The Invoker over RabbitMQ: publish with a direct reply-to address, match replies by correlation id.

With one broker node a request is lost only together with the connection, and then its caller is told at once. With
several, a request can be on its way through a node that dies. So the channel confirms there, and what the broker says
it could not deliver goes to placement, which is a quorum queue. What it had taken may be lost all the same: a moment
after the word that a node died, what is still unanswered is sent again, marked so that it runs only if no worker
holds the first copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from itertools import takewhile

import pika
from pika.channel import Channel as PikaChannel
from pika.exceptions import AMQPError

from hearth.broker import envelope, topology
from hearth.broker.connection import Broker, Channel
from hearth.broker.node_loss import NodeLoss
from hearth.broker.response_stream import BrokerResponseStream
from hearth.clock import Deadline
from hearth.errors import InvocationTimedOut, Unavailable
from hearth.model.invocation import Invocation, InvocationResult, Outcome

REPLY_TO = "amq.rabbitmq.reply-to"
#: pause before a request that the broker could not take is published once more; then twice that, ...
RETRY_S = 0.05
LONGEST_RETRY_S = 0.5
#: eight seconds: longer than the placement queue takes to choose another leader
MAX_TRIES = 20
#: from the word that a node died until requests are sent again: workers answer late, or mark what they hold, meanwhile
GRACE_S = 1.5
REFUSED = "The broker could not take the request."


class _Pending:
    """One awaited reply; a large one arrives in parts, a streamed one in pieces."""

    __slots__ = ("body", "future", "parts", "properties", "sent_s", "stream", "tries")

    def __init__(self, future: asyncio.Future[InvocationResult], properties: pika.BasicProperties, body: bytes) -> None:
        self.future = future
        self.properties = properties
        self.body = body
        self.parts: list[bytes] | None = None
        self.stream: BrokerResponseStream | None = None
        self.tries = 1
        self.sent_s = 0.0


class BrokerInvoker:
    """Implements hearth.invoker.Invoker. Direct reply-to lives with its channel, so one channel does both."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: Channel | None = None
        self._pending: dict[str, _Pending] = {}
        self._next_id = 0
        #: with several broker nodes: publish number on the channel -> what the broker has not confirmed yet, in order
        self._unconfirmed: dict[int, _Pending] = {}
        self._published = 0
        #: version key -> epoch of its queue, where it isn't 0; learnt from replies
        self._epochs: dict[str, int] = {}

    async def start(self) -> None:
        self._broker.on_down.append(self._on_down)
        await self._broker.when_up(self._open)
        await NodeLoss(self._broker, self._on_node_loss).start()

    async def _open(self) -> Channel:
        channel = await self._broker.channel()
        await topology.declare_shared(channel)
        await channel.consume(REPLY_TO, self._on_reply, no_ack=True)
        if channel.replicated:
            await channel.watch_publishes(self._on_confirm, self._on_return)
        self._unconfirmed, self._published = {}, 0
        channel.closed.add_done_callback(lambda _closed: self._forget(channel))
        self._channel = channel
        return channel

    def _on_down(self) -> None:
        if self._channel is not None:
            self._forget(self._channel)

    def _forget(self, channel: Channel) -> None:
        """The channel is gone, and with it the address of every reply."""
        if channel is not self._channel:
            return
        self._channel = None
        lost = InvocationResult(Outcome.LOST, detail="The connection to the broker was lost before the answer came.")
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_result(lost)

    @property
    def busy(self) -> bool:
        """Whether an invocation of this process is under way."""
        return bool(self._pending)

    async def invoke(self, invocation: Invocation, *, deadline: Deadline) -> InvocationResult:
        with self._asked(invocation, deadline) as pending:
            result = await pending.future
        self._learn(invocation.version_key, result)
        return result

    @asynccontextmanager
    async def stream(self, invocation: Invocation, *, deadline: Deadline) -> AsyncIterator[BrokerResponseStream]:
        with self._asked(replace(invocation, streaming=True), deadline) as pending:
            assert pending.stream is not None
            try:
                yield pending.stream
            finally:
                pending.stream.abandon()
                if pending.future.done() and pending.future.exception() is None:
                    self._learn(invocation.version_key, pending.future.result())

    @contextmanager
    def _asked(self, invocation: Invocation, deadline: Deadline) -> Iterator[_Pending]:
        """Published, and awaited until the context ends. Raises Unavailable."""
        if self._channel is None:
            raise Unavailable("no connection to the broker")
        epoch = self._epochs.get(invocation.version_key, 0)
        if epoch:
            invocation = replace(invocation, epoch=epoch)
        self._next_id += 1
        correlation_id = str(self._next_id)
        loop = asyncio.get_running_loop()
        properties = envelope.invocation_properties(invocation, correlation_id=correlation_id, reply_to=REPLY_TO)
        pending = _Pending(loop.create_future(), properties, invocation.payload)
        if invocation.streaming:
            pending.stream = BrokerResponseStream(pending.future, self._grant)
        self._pending[correlation_id] = pending
        timer = loop.call_later(deadline.remaining_s, self._expire, pending, invocation.request_id)
        try:
            self._publish(pending, *topology.way_in(invocation))
            yield pending
        finally:
            timer.cancel()
            del self._pending[correlation_id]

    def _learn(self, version_key: str, result: InvocationResult) -> None:
        """A worker has told the queue's epoch."""
        if result.epoch > self._epochs.get(version_key, 0):
            self._epochs[version_key] = result.epoch

    def _grant(self, address: str, name: str, body: bytes) -> None:
        """Give a streaming worker credit; if it can't be sent, the connection's end is the stream's too."""
        if self._channel is not None and self._channel.is_open:
            with suppress(AMQPError):
                self._channel.raw.basic_publish("", address, body, pika.BasicProperties(correlation_id=name))
                self._count(None)

    def _publish(self, pending: _Pending, exchange: str, routing_key: str) -> None:
        channel = self._channel
        if channel is None:
            raise Unavailable("no connection to the broker")
        try:
            channel.raw.basic_publish(
                exchange, routing_key, pending.body, pending.properties, mandatory=channel.replicated
            )
        except AMQPError as exc:
            raise Unavailable(f"the invocation could not be published: {exc!r}") from exc
        pending.sent_s = asyncio.get_running_loop().time()
        self._count(pending)

    def _count(self, pending: _Pending | None) -> None:
        """A publish on our channel: the broker's confirms count them all."""
        if self._channel is not None and self._channel.replicated:
            self._published += 1
            if pending is not None:
                self._unconfirmed[self._published] = pending

    def _on_confirm(self, number: int, multiple: bool, taken: bool) -> None:
        waiting = self._unconfirmed
        for one in list(takewhile(lambda other: other <= number, waiting)) if multiple else [number]:
            pending = waiting.pop(one, None)
            if not taken and pending is not None and not pending.future.done():
                self._on_refused(pending)

    def _on_refused(self, pending: _Pending) -> None:
        """The queue's node died with it, or no majority of nodes lives."""
        if pending.tries >= MAX_TRIES:
            pending.future.set_result(InvocationResult(Outcome.LOST, detail=REFUSED))
            return
        delay_s = min(LONGEST_RETRY_S, RETRY_S * 2 ** (pending.tries - 1))
        pending.tries += 1
        asyncio.get_running_loop().call_later(delay_s, self._publish_again, pending)

    def _publish_again(self, pending: _Pending) -> None:
        if pending.future.done():
            return
        try:
            self._publish(pending, topology.PLACEMENT, "")
        except Unavailable as exc:
            pending.future.set_result(InvocationResult(Outcome.LOST, detail=str(exc)))

    def _on_node_loss(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(GRACE_S, self._ask_again, loop.time())

    def _ask_again(self, lost_s: float) -> None:
        for pending in list(self._pending.values()):
            begun = pending.stream is not None and pending.stream.begun
            if pending.sent_s < lost_s and not pending.future.done() and not begun:
                pending.properties.headers = {**(pending.properties.headers or {}), "again": True}
                self._publish_again(pending)

    def _on_return(self, correlation_id: str) -> None:
        """No queue at all took it."""
        pending = self._pending.get(correlation_id)
        if pending is not None and not pending.future.done():
            pending.future.set_result(InvocationResult(Outcome.UNAVAILABLE, detail=REFUSED))

    @staticmethod
    def _expire(pending: _Pending, request_id: str) -> None:
        if not pending.future.done():
            error = InvocationTimedOut(f"Invocation {request_id} got no answer in time; it may have run.")
            pending.future.set_exception(error)

    def _on_reply(self, _channel: PikaChannel, _method: object, properties: pika.BasicProperties, body: bytes) -> None:
        pending = self._pending.get(properties.correlation_id or "")
        if pending is None or pending.future.done():
            return  # its caller has given up
        if properties.type == envelope.STREAM:
            if pending.stream is not None:
                pending.stream.piece(properties, body)
            return
        if properties.type == envelope.PART:
            if pending.parts is None:
                pending.parts = []
            pending.parts.append(body)
            return
        if pending.parts is not None:
            body = b"".join([*pending.parts, body])
        pending.future.set_result(envelope.read_result(properties, body))
