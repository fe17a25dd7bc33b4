"""The connection that reads and writes the warm path's frames by hand, against a real RabbitMQ."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest

from hearth.broker import connection
from hearth.broker.connection import Broker, Channel
from tests.conftest import missing
from tests.support import places
from tests.support.relay import Relay
from tests.support.servers import PrivateServers

ANSWER_S = 60.0
HEARTBEAT_S = 2
#: pika looks for signs of life every five seconds and the heartbeat; its first look still sees the handshake
LONGER_THAN_TWO_CHECKS_S = 2 * (HEARTBEAT_S + 5) + 1.5


@pytest.fixture(scope="module")
def alone() -> Iterator[PrivateServers]:
    if reason := PrivateServers.unavailable():
        missing(reason)
    with places.data_folder() as folder, PrivateServers(folder) as running:
        yield running


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Broker]:
    broker = await Broker.connect(url, name="test")
    try:
        yield broker
    finally:
        await broker.close()


def through(relay: Relay, url: str) -> str:
    return url.replace(f":{urlsplit(url).port}", f":{relay.port}")


class Inbox:
    """A queue of its own and what came from it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.came: asyncio.Queue[tuple[Any, pika.BasicProperties, bytes]] = asyncio.Queue()

    async def open(self) -> None:
        self.queue = await self.channel.declare_queue(f"test.{uuid.uuid4().hex}", {"x-expires": 60_000})
        await self.channel.consume(self.queue, self._on_delivery)

    def _on_delivery(self, _channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self.came.put_nowait((method, properties, body))

    async def round_trip(self, body: bytes, properties: pika.BasicProperties) -> tuple[pika.BasicProperties, bytes]:
        self.channel.raw.basic_publish("", self.queue, body, properties)
        async with asyncio.timeout(ANSWER_S):
            method, came, answer = await self.came.get()
        assert (method.exchange, method.routing_key) == ("", self.queue)
        self.channel.raw.basic_ack(method.delivery_tag)
        return came, answer


async def an_inbox(broker: Broker) -> Inbox:
    inbox = Inbox(await broker.channel())
    await inbox.open()
    return inbox


async def holds(channel: Channel, queue: str, messages: int) -> None:
    """Wait until so many messages are ready in it."""
    while True:
        if await channel.queue_length(queue) == messages:
            return
        await asyncio.sleep(0.02)


WARM = pika.BasicProperties(headers={"key": "k", "until": 1 << 40}, message_id="m", correlation_id="1", type="ok")


async def test_connection_outlives_its_heartbeat_checks_idle_and_under_load(
    alone: PrivateServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_S", HEARTBEAT_S)
    async with connected(alone.broker_url) as idle, connected(alone.broker_url) as busy:
        lost: list[str] = []
        idle.on_down.append(lambda: lost.append("idle"))
        busy.on_down.append(lambda: lost.append("busy"))
        inbox = await an_inbox(busy)
        until_s = asyncio.get_running_loop().time() + LONGER_THAN_TWO_CHECKS_S
        while asyncio.get_running_loop().time() < until_s:
            await inbox.round_trip(b"{}", WARM)
            await asyncio.sleep(0.01)
        assert lost == []
        await (await an_inbox(idle)).round_trip(b"{}", WARM)


async def test_connection_that_has_fallen_silent_is_given_up(
    alone: PrivateServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_S", HEARTBEAT_S)
    parts = urlsplit(alone.broker_url)
    async with (
        Relay(str(parts.hostname), int(parts.port or 0)) as relay,
        connected(through(relay, alone.broker_url)) as broker,
    ):
        lost = asyncio.Event()
        broker.on_down.append(lost.set)
        inbox = await an_inbox(broker)
        await inbox.round_trip(b"{}", WARM)
        relay.flowing.clear()
        async with asyncio.timeout(ANSWER_S):
            await lost.wait()
        relay.flowing.set()


async def test_messages_arrive_whole_however_the_stream_is_cut(alone: PrivateServers) -> None:
    parts = urlsplit(alone.broker_url)
    async with (
        Relay(str(parts.hostname), int(parts.port or 0), pieces=90) as relay,
        connected(through(relay, alone.broker_url)) as broker,
    ):
        inboxes = [await an_inbox(broker) for _ in range(4)]

        async def exchange(inbox: Inbox) -> None:
            for _ in range(50):
                body = random.randbytes(random.randint(0, 300))
                properties, came = await inbox.round_trip(body, WARM)
                assert (vars(properties), came) == (vars(WARM), body)

        async with asyncio.TaskGroup() as exchanging:
            for inbox in inboxes:
                exchanging.create_task(exchange(inbox))


async def test_bodies_of_several_frames_arrive_whole_between_small_ones(alone: PrivateServers) -> None:
    async with connected(alone.broker_url) as broker:
        inbox = await an_inbox(broker)
        bodies = [random.randbytes(size) for size in (0, 131_064, 131_065, 5, 1_000_000, 1)]
        for body in bodies:
            inbox.channel.raw.basic_publish("", inbox.queue, body, WARM)
        async with asyncio.timeout(ANSWER_S):
            assert [(await inbox.came.get())[2] for _ in bodies] == bodies


async def test_small_frames_are_respected_where_the_broker_asks_for_them(alone: PrivateServers) -> None:
    async with connected(f"{alone.broker_url}?frame_max=4096") as broker:
        inbox = await an_inbox(broker)
        body = random.randbytes(20_000)
        assert (await inbox.round_trip(body, WARM))[1] == body


async def test_messages_of_other_clients_arrive_as_pika_reads_them(alone: PrivateServers) -> None:
    sent = pika.BasicProperties(
        headers={"größe": -5, "rows": [1, {"a": None}], "raw": b"\xff", "": "x", "yes": True},
        priority=3,
        expiration="60000",
        app_id="other",
        delivery_mode=2,
    )
    async with connected(alone.broker_url) as broker:
        inbox = await an_inbox(broker)
        properties, body = await inbox.round_trip(b"theirs", sent)
        assert (vars(properties), body) == (vars(sent), b"theirs")


async def test_cancelled_consumer_gets_nothing_more_of_what_was_on_its_way(alone: PrivateServers) -> None:
    async with connected(alone.broker_url) as broker:
        channel, consuming = await broker.channel(), await broker.channel()
        queue = await channel.declare_queue(f"test.{uuid.uuid4().hex}", {"x-expires": 60_000})
        for _ in range(50):
            channel.raw.basic_publish("", queue, b"{}", WARM)
        came: list[int] = []
        cancelled = asyncio.Event()

        def on_delivery(raw: Any, method: Any, _properties: Any, _body: bytes) -> None:
            came.append(method.delivery_tag)
            raw.basic_ack(method.delivery_tag)
            raw.basic_cancel(method.consumer_tag, callback=lambda _frame: cancelled.set())

        await consuming.consume(queue, on_delivery)
        async with asyncio.timeout(ANSWER_S):
            await cancelled.wait()
            await consuming.close()
            await holds(channel, queue, 49)
        assert came == [1]


async def test_closed_channel_gets_nothing_more_of_what_was_on_its_way(alone: PrivateServers) -> None:
    async with connected(alone.broker_url) as broker:
        channel, consuming = await broker.channel(), await broker.channel()
        queue = await channel.declare_queue(f"test.{uuid.uuid4().hex}", {"x-expires": 60_000})
        for _ in range(50):
            channel.raw.basic_publish("", queue, b"{}", WARM)
        came: list[int] = []

        def on_delivery(raw: Any, method: Any, _properties: Any, _body: bytes) -> None:
            came.append(method.delivery_tag)
            raw.close()

        await consuming.consume(queue, on_delivery)
        async with asyncio.timeout(ANSWER_S):
            await asyncio.shield(consuming.closed)
            await holds(channel, queue, 50)
        assert came == [1]
        assert broker.alive


async def test_consumer_that_raises_costs_the_connection_and_its_message_comes_again(alone: PrivateServers) -> None:
    async with connected(alone.broker_url) as broker:
        queue = f"test.{uuid.uuid4().hex}"
        redelivered: list[bool] = []
        done = asyncio.Event()

        def on_delivery(raw: Any, method: Any, _properties: Any, _body: bytes) -> None:
            redelivered.append(method.redelivered)
            if len(redelivered) == 1:
                raise ValueError("on purpose")
            raw.basic_ack(method.delivery_tag)
            done.set()

        async def consume() -> Channel:
            channel = await broker.channel()
            await channel.declare_queue(queue, {"x-expires": 60_000})
            await channel.consume(queue, on_delivery)
            return channel

        await broker.when_up(consume)
        (await broker.channel()).raw.basic_publish("", queue, b"{}", WARM)
        async with asyncio.timeout(ANSWER_S):
            await done.wait()
        assert redelivered == [False, True]


async def test_queue_that_can_not_be_had_after_a_reconnection_holds_up_no_other_channel(alone: PrivateServers) -> None:
    """As one is whose node has died with the connection; here it exists with other arguments meanwhile."""
    parts = urlsplit(alone.broker_url)
    async with (
        Relay(str(parts.hostname), int(parts.port or 0)) as relay,
        connected(alone.broker_url) as aside,
        connected(through(relay, alone.broker_url)) as broker,
    ):
        first, second = f"test.{uuid.uuid4().hex}", f"test.{uuid.uuid4().hex}"
        opened: asyncio.Queue[str] = asyncio.Queue()

        def opening(queue: str) -> connection.OpenHook:
            async def hook() -> Channel:
                channel = await broker.channel()
                await channel.declare_queue(queue, {"x-expires": 60_000})
                opened.put_nowait(queue)
                return channel

            return hook

        async def open_again() -> str:
            async with asyncio.timeout(ANSWER_S):
                return await opened.get()

        for queue in (first, second):
            await broker.when_up(opening(queue))
            assert await open_again() == queue
        other = await aside.channel()
        await other.delete_queue(first, if_empty=False, if_unused=False)
        await other.declare_queue(first, {"x-expires": 50_000})
        relay.cut()
        assert await open_again() == second
        await other.delete_queue(first, if_empty=False, if_unused=False)
        assert await open_again() == first
