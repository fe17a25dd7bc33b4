"""Telemetry's way to a listener: buffering, retries, lines over TCP, and what is dropped."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from workers.sandbox.telemetry import Telemetry
from workers.sandbox.telemetry.subscription import Subscription, parse


class Listener:
    """Takes POSTs or lines on a loopback port. status: of its answers. takes: cleared, it answers nothing."""

    def __init__(self) -> None:
        self.posts: list[list[dict[str, Any]]] = []
        self.lines: list[dict[str, Any]] = []
        self.status = 200
        self.takes = asyncio.Event()
        self.takes.set()
        self.asked = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server

    async def open(self, *, tcp: bool = False) -> None:
        self._server = await asyncio.start_server(self._read_lines if tcp else self._take, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        self.asked.set()
        await self.takes.wait()
        if self.status == 200:
            self.posts.append(body)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % self.status)
        writer.close()

    async def _read_lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            self.lines.append(json.loads(line))
            self.asked.set()
        writer.close()


async def connect(port: int) -> socket.socket:
    stream = socket.socket()
    stream.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stream, ("127.0.0.1", port))
    return stream


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    await made.open()
    yield made
    made.close()


@pytest.fixture
async def telemetry() -> AsyncIterator[Telemetry]:
    made = Telemetry(connect)
    yield made
    made.close()


def wanted(port: int, *types: str, protocol: str = "HTTP", legacy: bool = False, **buffering: int) -> Subscription:
    uri = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/x"}
    destination = uri if protocol == "HTTP" else {"protocol": "TCP", "port": port}
    given = {"types": types or ("platform",), "destination": destination, "buffering": {"timeoutMs": 25} | buffering}
    return parse(json.dumps(given).encode(), legacy=legacy)


def say(telemetry: Telemetry, number: int = 0, size: int = 0) -> None:
    telemetry.platform("platform.start", {"number": number, "padding": "x" * size}, 0)


def flat(posts: list[list[dict[str, Any]]]) -> list[str]:
    return [event["type"].removeprefix("platform.") for post in posts for event in post]


async def test_a_late_subscriber_learns_what_happened_before(telemetry: Telemetry, listener: Listener) -> None:
    say(telemetry)
    telemetry.line("function", "hello\n", 0, parse=False)
    telemetry.subscribe("e", wanted(listener.port, "platform", "function"))
    await telemetry.drained(60)
    assert flat(listener.posts) == ["start", "function", "telemetrySubscription"]
    assert listener.posts[0][1] == {"time": "1970-01-01T00:00:00.000Z", "type": "function", "record": "hello"}


async def test_nobody_listening_means_nothing_is_made(telemetry: Telemetry) -> None:
    telemetry.close_subscriptions()
    assert (telemetry.enabled, telemetry.pending) == (False, False)


async def test_only_the_kinds_that_were_asked_for_come(telemetry: Telemetry, listener: Listener) -> None:
    telemetry.subscribe("e", wanted(listener.port, "function"))
    say(telemetry)
    telemetry.line("function", '{"a": 1}', 0, parse=True)
    telemetry.line("extension", "not this", 0, parse=False)
    await telemetry.drained(60)
    assert [event["record"] for post in listener.posts for event in post] == [{"a": 1}]


async def test_the_old_logs_api_knows_end_and_no_init(telemetry: Telemetry, listener: Listener) -> None:
    telemetry.subscribe("new", wanted(listener.port))
    await telemetry.drained(60)
    listener.posts.clear()
    telemetry.subscribe("old", wanted(listener.port, legacy=True))
    for kind in ("initStart", "start", "end"):
        telemetry.platform(f"platform.{kind}", {}, 0)
    await telemetry.drained(60)
    assert sorted(map(tuple, (flat([post]) for post in listener.posts))) == [
        ("initStart", "start"),
        ("logsSubscription", "start", "end"),
    ]


async def test_delivery_is_tried_until_the_listener_takes_it(telemetry: Telemetry, listener: Listener) -> None:
    listener.close()
    telemetry.subscribe("e", wanted(listener.port))
    telemetry.flush()
    await asyncio.sleep(0.05)
    listener.status = 500
    await listener.open()
    await listener.asked.wait()
    assert (listener.posts, telemetry.pending) == ([], True)
    listener.status = 200
    await telemetry.drained(60)
    assert flat(listener.posts) == ["telemetrySubscription"]


async def test_a_full_buffer_does_not_wait_for_its_time(telemetry: Telemetry, listener: Listener) -> None:
    telemetry.subscribe("e", wanted(listener.port, timeoutMs=30_000, maxItems=1000))
    for number in range(999):
        say(telemetry, number)
    await listener.asked.wait()
    assert telemetry.pending or len(flat(listener.posts)) == 1000


async def test_what_a_slow_listener_misses_is_counted_and_told(telemetry: Telemetry, listener: Listener) -> None:
    listener.takes.clear()
    telemetry.subscribe("e", wanted(listener.port))
    await listener.asked.wait()
    for number in range(300):
        say(telemetry, number, size=10_000)
    listener.takes.set()
    await telemetry.drained(60)
    (lost,) = [event["record"] for post in listener.posts for event in post if "Dropped" in event["type"]]
    arrived = flat(listener.posts).count("start")
    assert lost["droppedRecords"] + arrived == 300
    assert lost["droppedBytes"] >= lost["droppedRecords"] * 10_000
    assert all(len(json.dumps(post)) < 2 * 262_144 for post in listener.posts)


async def test_tcp_gets_lines(telemetry: Telemetry) -> None:
    listener = Listener()
    await listener.open(tcp=True)
    telemetry.subscribe("e", wanted(listener.port, protocol="TCP"))
    say(telemetry, 7)
    await telemetry.drained(60)
    async with asyncio.timeout(60):
        while len(listener.lines) < 2:
            listener.asked.clear()
            await listener.asked.wait()
    assert [event["type"] for event in listener.lines] == ["platform.telemetrySubscription", "platform.start"]
    listener.close()
