"""One connection to the broker that comes back by itself, and awaitable channels on it.

After every (re)connection the `on_up` hooks declare and consume anew; when it is lost the `on_down` hooks run at
once and every channel is dead. What was unacknowledged then belongs to the broker again.

With several nodes' URLs a process starts at any of them and moves on to the next when it loses its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pika
from pika.channel import Channel as PikaChannel
from pika.exceptions import AMQPError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from hearth.broker.pika_connection import Connection, Streams
from hearth.errors import HearthError, Unavailable

log = logging.getLogger(__name__)
# pika reports each failed attempt at ERROR with a stack trace; ours says it in one line
logging.getLogger("pika").setLevel(logging.CRITICAL)

CONNECT_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 10.0
#: a peer that vanished without a word (a cable, a host) is given up after about twice this
HEARTBEAT_S = 10
#: how often a channel that the broker closed is opened anew
MEND_PAUSE_S = 0.5
_AWAIT_BROKER_S = 1.0

OnDelivery = Callable[[PikaChannel, Any, pika.BasicProperties, bytes], None]


class ChannelClosed(HearthError):
    """The broker closed the channel: `reply_code` 404 no such queue or its node is down, 406 other arguments, ..."""

    def __init__(self, reply_code: int, text: str) -> None:
        super().__init__(f"channel closed: {reply_code} {text}")
        self.reply_code = reply_code


class PublishRefused(Unavailable):
    """The broker took a publish and did not store it: the queue is full."""


class Unconfirmed(Unavailable):
    """No answer came to a publish; it may have been stored."""


class Channel:
    """A pika channel with awaitable methods. Publishing and acknowledging are synchronous and buffered.

    replicated: the broker has several nodes, so queues that must outlive one of them are quorum queues.
    """

    def __init__(self, raw: PikaChannel, *, replicated: bool = False) -> None:
        self.raw = raw
        self.replicated = replicated
        self._waiting: set[asyncio.Future[Any]] = set()
        self._confirms: dict[int, asyncio.Future[bool]] = {}
        self._returned: set[str] = set()
        self._published = 0
        self.closed: asyncio.Future[ChannelClosed] = asyncio.get_running_loop().create_future()
        raw.add_on_close_callback(self._on_close)

    @property
    def is_open(self) -> bool:
        return self.raw.is_open

    def _on_close(self, _channel: PikaChannel, reason: Exception) -> None:
        code = getattr(reason, "reply_code", 0)
        error = ChannelClosed(code, getattr(reason, "reply_text", str(reason)))
        if not self.closed.done():
            self.closed.set_result(error)
        for future in [*self._waiting, *self._confirms.values()]:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()
        self._confirms.clear()

    async def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)

        def answered(frame: Any) -> None:
            if not future.done():
                future.set_result(frame)

        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                try:
                    method(*args, callback=answered, **kwargs)
                except AMQPError as exc:
                    raise ChannelClosed(0, repr(exc)) from exc
                return await future
        except TimeoutError as exc:
            raise Unavailable(f"the broker did not answer {method.__name__} in {CALL_TIMEOUT_S} s") from exc
        finally:
            self._waiting.discard(future)

    async def qos(self, prefetch: int) -> None:
        await self._call(self.raw.basic_qos, prefetch_count=prefetch)

    async def declare_exchange(self, name: str, kind: str, arguments: dict[str, Any] | None = None) -> None:
        await self._call(self.raw.exchange_declare, name, kind, durable=True, arguments=arguments)

    async def declare_queue(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        durable: bool = True,
        exclusive: bool = False,
    ) -> str:
        frame = await self._call(
            self.raw.queue_declare, name, durable=durable, exclusive=exclusive, arguments=arguments
        )
        return str(frame.method.queue)

    async def bind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: dict[str, Any] | None = None
    ) -> None:
        await self._call(self.raw.queue_bind, queue, exchange, routing_key=routing_key, arguments=arguments)

    async def delete_queue(self, name: str, *, if_empty: bool, if_unused: bool) -> None:
        """Raises ChannelClosed(406) when it is not empty, or in use."""
        await self._call(self.raw.queue_delete, name, if_empty=if_empty, if_unused=if_unused)

    async def queue_length(self, name: str) -> int:
        """Messages ready in a queue. Raises ChannelClosed(404) if there is none; the channel is gone then."""
        frame = await self._call(self.raw.queue_declare, name, passive=True)
        return int(frame.method.message_count)

    async def consume(
        self,
        queue: str,
        on_delivery: OnDelivery,
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: dict[str, Any] | None = None,
        tag: str = "",
        on_cancel: Callable[[], None] | None = None,
    ) -> str:
        """Start a consumer; returns its tag, which is made up if none is given.

        on_cancel: the broker ended it (queue deleted, its node died).
        """
        if on_cancel is not None:
            self.raw.add_on_cancel_callback(lambda _frame: on_cancel())

        def start(callback: Callable[[Any], None]) -> None:
            nonlocal tag
            tag = self.raw.basic_consume(
                queue,
                on_delivery,
                auto_ack=no_ack,
                exclusive=exclusive,
                consumer_tag=tag or None,
                arguments=arguments,
                callback=callback,
            )

        await self._call(start)
        return tag

    async def cancel(self, tag: str) -> None:
        """Afterwards nothing more is delivered to this consumer; what was delivered is still to be acknowledged."""
        await self._call(self.raw.basic_cancel, tag)

    async def confirm_publishes(self) -> None:
        def settled(frame: Any) -> None:
            ok = type(frame.method).__name__.endswith("Ack")
            tag = frame.method.delivery_tag
            tags = [t for t in self._confirms if t <= tag] if frame.method.multiple else [tag]
            for one in tags:
                future = self._confirms.pop(one, None)
                if future is not None and not future.done():
                    future.set_result(ok)

        def returned(_channel: Any, _method: Any, properties: pika.BasicProperties, _body: bytes) -> None:
            self._returned.add(properties.message_id or "")

        self.raw.add_on_return_callback(returned)
        await self._call(self.raw.confirm_delivery, settled)

    async def watch_publishes(
        self, on_confirm: Callable[[int, bool, bool], None], on_return: Callable[[str], None]
    ) -> None:
        """For many publishes in flight.

        on_confirm: a publish's number on this channel, from 1 on; whether all before it are meant too; whether the
        broker took them. on_return: the correlation id of a mandatory publish that no queue took.
        """

        def settled(frame: Any) -> None:
            method = frame.method
            on_confirm(method.delivery_tag, method.multiple, type(method).__name__.endswith("Ack"))

        def returned(_channel: Any, _method: Any, properties: pika.BasicProperties, _body: bytes) -> None:
            on_return(properties.correlation_id or "")

        self.raw.add_on_return_callback(returned)
        await self._call(self.raw.confirm_delivery, settled)

    async def publish_confirmed(
        self, exchange: str, routing_key: str, body: bytes, properties: pika.BasicProperties
    ) -> None:
        """Publish on a confirming channel; returns when the broker has taken it *and* routed it.

        A confirm alone does not mean routed, so the publish is mandatory; needs properties.message_id.
        Raises Unavailable if it was refused, returned or not confirmed in time.
        """
        self._published += 1
        tag = self._published
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._confirms[tag] = future
        try:
            self.raw.basic_publish(exchange, routing_key, body, properties, mandatory=True)
            async with asyncio.timeout(CALL_TIMEOUT_S):
                taken = await future
        except (AMQPError, ChannelClosed, TimeoutError) as exc:
            raise Unconfirmed(f"publish to {exchange or routing_key} was not confirmed: {exc!r}") from exc
        finally:
            self._confirms.pop(tag, None)
        if not taken:
            raise PublishRefused(f"the broker refused a publish to {exchange or routing_key}")
        if (properties.message_id or "") in self._returned:
            self._returned.discard(properties.message_id or "")
            raise Unavailable(f"no queue took a publish to {exchange or routing_key}")

    async def close(self) -> None:
        if self.raw.is_open:
            with contextlib.suppress(AMQPError):
                self.raw.close()
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await asyncio.shield(self.closed)


#: declares and consumes; the channel it returns is opened anew, by calling it again, when the broker closes it
OpenHook = Callable[[], Awaitable[Channel | None]]


class Broker:
    """The process's connection. Use: `broker = await Broker.connect(url, name=...)`, at the end `close()`."""

    def __init__(self, urls: Sequence[str], name: str) -> None:
        self._name = name
        self._nodes = [self._parameters_of(url) for url in urls]
        #: the one in use, or to be tried next
        self._node = random.randrange(len(self._nodes))
        #: there is a node that can die while others live
        self.replicated = len(self._nodes) > 1
        self._connection: Connection | None = None
        self._lost: asyncio.Future[str] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._mending: set[asyncio.Task[None]] = set()
        self._closing = False
        self.on_up: list[OpenHook] = []
        self.on_down: list[Callable[[], None]] = []

    def _parameters_of(self, url: str) -> pika.URLParameters:
        parameters = pika.URLParameters(url)
        parameters.heartbeat = HEARTBEAT_S
        parameters.client_properties = {"connection_name": self._name}
        parameters.socket_timeout = CONNECT_TIMEOUT_S
        return parameters

    @classmethod
    async def connect(cls, url: str, *, name: str) -> Broker:
        """url: one amqp URL, or those of a cluster's nodes with commas between them.

        Raises Unavailable if the first connection can't be made; later losses are mended in the background.
        """
        broker = cls([part.strip() for part in url.split(",") if part.strip()], name)
        await broker._open()
        # owner: this object, ended in close()
        broker._keeper = asyncio.create_task(broker._keep(), name=f"broker-{name}")
        return broker

    @classmethod
    async def connect_patiently(cls, url: str, name: str, stopping: asyncio.Event) -> Broker | None:
        """However long the broker takes to come; None: `stopping` came first."""
        while not stopping.is_set():
            try:
                return await cls.connect(url, name=name)
            except Unavailable as exc:
                log.warning("broker not connected", extra={"action": "not_connected", "error": str(exc)})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _AWAIT_BROKER_S)
        return None

    @property
    def alive(self) -> bool:
        return self._connection is not None and self._connection.is_open

    async def when_up(self, hook: OpenHook) -> None:
        """Run `hook` now and after every reconnection, and whenever the broker closed the channel it returned."""
        self.on_up.append(hook)
        await self._run(hook)

    async def _run(self, hook: OpenHook) -> None:
        connection = self._connection
        channel = await hook()
        if channel is not None:
            channel.closed.add_done_callback(lambda closed: self._on_channel_closed(hook, connection, closed.result()))

    def _on_channel_closed(self, hook: OpenHook, connection: Connection | None, reason: ChannelClosed) -> None:
        if self._closing or connection is not self._connection or not self.alive:
            return  # the keeper runs all hooks when the connection is back
        log.warning("broker closed a channel", extra={"action": "channel_closed", "reason": str(reason)})
        self._begin_mending(hook)

    def _begin_mending(self, hook: OpenHook) -> None:
        # owner: this object, ended in close()
        task = asyncio.create_task(self._mend(hook, self._connection), name=f"mend-{self._name}")
        self._mending.add(task)
        task.add_done_callback(self._mending.discard)

    async def _mend(self, hook: OpenHook, connection: Connection | None) -> None:
        while connection is self._connection and self.alive:
            await asyncio.sleep(MEND_PAUSE_S)
            try:
                return await self._run(hook)
            except HearthError as exc:
                log.warning("channel not opened", extra={"action": "channel_failed", "reason": str(exc)})

    async def channel(self, *, prefetch: int | None = None) -> Channel:
        """Raises Unavailable when there is no connection."""
        if self._connection is None or not self._connection.is_open:
            raise Unavailable("no connection to the broker")
        opened: asyncio.Future[PikaChannel] = asyncio.get_running_loop().create_future()

        def on_open(raw: PikaChannel) -> None:
            if not opened.done():
                opened.set_result(raw)

        try:
            self._connection.channel(on_open_callback=on_open)
            async with asyncio.timeout(CALL_TIMEOUT_S):
                channel = Channel(await opened, replicated=self.replicated)
        except (AMQPError, TimeoutError) as exc:
            raise Unavailable(f"the broker opened no channel: {exc!r}") from exc
        if prefetch is not None:
            await channel.qos(prefetch)
        return channel

    async def close(self) -> None:
        self._closing = True
        ending = [*self._mending, *([self._keeper] if self._keeper is not None else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._connection is not None and self._connection.is_open and self._lost is not None:
            self._connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await asyncio.shield(self._lost)

    async def _open(self) -> None:
        """Connect to the first node that answers, from the current one on. Raises Unavailable if none does."""
        for left in reversed(range(len(self._nodes))):
            try:
                return await self._open_node()
            except Unavailable:
                self._node = (self._node + 1) % len(self._nodes)
                if not left:
                    raise

    async def _open_node(self) -> None:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        lost: asyncio.Future[str] = loop.create_future()

        def on_open(_connection: Any) -> None:
            if not opened.done():
                opened.set_result(None)

        def on_error(_connection: Any, error: BaseException) -> None:
            if not opened.done():
                opened.set_exception(Unavailable(f"no connection to the broker: {error!r}"))

        def on_close(_connection: Any, error: BaseException) -> None:
            if not lost.done():
                lost.set_result(str(error))
            if not self._closing and lost is self._lost:
                for hook in self.on_down:
                    hook()

        connection = Connection(self._nodes[self._node], on_open, on_error, on_close, custom_ioloop=Streams(loop))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await opened
        except TimeoutError as exc:
            with contextlib.suppress(AMQPError):
                connection.close()  # it must not open after all
            raise Unavailable(f"the broker did not answer in {CONNECT_TIMEOUT_S} s") from exc
        self._connection, self._lost = connection, lost

    async def _keep(self) -> None:
        while True:
            assert self._lost is not None
            reason = await asyncio.shield(self._lost)  # no deadline: the life of the connection
            log.warning("broker connection lost", extra={"action": "broker_lost", "reason": reason})
            self._node = (self._node + 1) % len(self._nodes)
            async for attempt in AsyncRetrying(
                wait=wait_exponential_jitter(multiplier=0.05, max=2.0, jitter=0.1),
                retry=retry_if_exception_type(HearthError),
            ):
                with attempt:
                    await self._reopen()
            log.info("broker connection is back", extra={"action": "broker_back"})

    async def _reopen(self) -> None:
        """A hook whose channel the broker closed is mended: one queue that can't be had holds up nothing else."""
        await self._open()
        for hook in self.on_up:
            try:
                await self._run(hook)
            except HearthError as exc:
                if isinstance(exc, ChannelClosed) and self.alive:
                    log.warning("channel not opened", extra={"action": "channel_failed", "reason": str(exc)})
                    self._begin_mending(hook)
                    continue
                log.warning("broker came back and failed again", extra={"action": "broker_relapse", "reason": str(exc)})
                if self._connection is not None and self._connection.is_open:
                    self._connection.close()
                raise
