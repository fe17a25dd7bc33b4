"""Streamed responses: from a runtime's chunks to the caller's pieces, within its credit."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hearth.broker import envelope, topology
from hearth.broker.connection import Broker
from hearth.broker.invoker import BrokerInvoker
from hearth.clock import Deadline, now_ms
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from tests.conftest import missing
from tests.support import places
from tests.support.lab import Lab, a_lab, error, installed_runtime, invocation, until
from tests.support.servers import PrivateServers
from workers.delivery import Delivery, Lane
from workers.runtimes import Runtime
from workers.sandbox.state import SandboxState

#: a runtime of its own: the event says which pieces to send, and how it ends
RUNTIME = r"""
import base64, json, os, socket, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
def connect():
    link = socket.create_connection((host, int(port)))
    return link, link.makefile("rb")
def answer(stream):
    status, length, headers = stream.readline(), 0, {}
    while (line := stream.readline().strip()):
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status.split()[1].decode(), headers, stream.read(int(headers.get("content-length", 0)))
link, stream = connect()
while True:
    link.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
    _, headers, body = answer(stream)
    event = json.loads(body)
    path = "/2018-06-01/runtime/invocation/" + headers["lambda-runtime-aws-request-id"] + "/response"
    head = ("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n")
    link.sendall(head.encode())
    for piece in event.get("pieces", []):
        link.sendall(b"%x\r\n%s\r\n" % (len(piece), piece.encode()))
        time.sleep(event.get("pause", 0))
    for _ in range(event.get("mb", 0)):
        link.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
    if event.get("end") == "exit":
        os._exit(1)
    if event.get("end") == "hang":
        time.sleep(60)
    if event.get("end") == "cut":
        link.close()
        link, stream = connect()
        continue
    trailers = b""
    if event.get("end") == "error":
        document = base64.b64encode(b'{"errorType":"Broken","errorMessage":"half way"}')
        trailers = (b"Lambda-Runtime-Function-Error-Type: Function.Broken\r\n"
            b"Lambda-Runtime-Function-Error-Body: " + document + b"\r\n")
    link.sendall(b"0\r\n" + trailers + b"\r\n")
    print("STATUS", answer(stream)[0], flush=True)
"""


class Taker:
    """A sink that keeps what it gets, and lets in `window` bytes until `drink`."""

    def __init__(self, window: int = 1 << 30) -> None:
        self.pieces: list[bytes] = []
        self.content_type = ""
        self.on_room: Callable[[], None] | None = None
        self.got = asyncio.Event()
        self._window = window

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    def write(self, data: bytes, content_type: str) -> bool:
        self.pieces.append(data)
        self.content_type = content_type
        self.got.set()
        return self.size < self._window

    def drink(self) -> None:
        self._window = 1 << 30
        assert self.on_room is not None
        self.on_room()


@pytest.fixture(scope="session")
def runtime(data_dir: Path) -> Runtime:
    python = installed_runtime(data_dir)
    return dataclasses.replace(python, launch=(python.launch[0], "-I", "-S", "/var/task/app.py"))


@pytest.fixture
async def lab(tmp_path: Path, runtime: Runtime) -> AsyncIterator[Lab]:
    async with a_lab(tmp_path, runtime) as made:
        yield made


# --- the sandbox ----------------------------------------------------------------------------------------------
async def test_pieces_come_while_the_function_runs(lab: Lab) -> None:
    sandbox, taker = await lab.ready(RUNTIME), Taker()
    running = asyncio.create_task(sandbox.invoke(invocation({"pieces": ["one", "two"], "pause": 0.3}), taker))
    await taker.got.wait()
    assert (b"".join(taker.pieces), taker.content_type, running.done()) == (b"one", "text/plain", False)
    result = await running
    assert (b"".join(taker.pieces), result.outcome, result.payload) == (b"onetwo", Outcome.OK, b"")
    assert sandbox.reusable


async def test_a_buffered_caller_gets_the_whole(lab: Lab) -> None:
    sandbox = await lab.ready(RUNTIME)
    result = await sandbox.invoke(invocation({"pieces": ["one", "two"]}))
    assert (result.outcome, result.payload, result.content_type) == (Outcome.OK, b"onetwo", "text/plain")


async def test_an_error_in_the_middle_is_the_result(lab: Lab) -> None:
    sandbox, taker = await lab.ready(RUNTIME), Taker()
    result = await sandbox.invoke(invocation({"pieces": ["one"], "end": "error"}), taker)
    assert (b"".join(taker.pieces), error(result)) == (b"one", {"errorType": "Broken", "errorMessage": "half way"})
    assert (result.detail, sandbox.reusable) == ("Function.Broken", True)


async def test_a_stream_that_is_cut_off_tells_so(lab: Lab) -> None:
    sandbox, taker = await lab.ready(RUNTIME), Taker()
    result = await sandbox.invoke(invocation({"pieces": ["one"], "end": "cut"}), taker)
    assert (b"".join(taker.pieces), error(result)["errorType"]) == (b"one", "Runtime.TruncatedResponse")
    assert (await sandbox.invoke(invocation({"pieces": ["two"]}))).payload == b"two"


async def test_a_stream_whose_runtime_dies_is_cut_off_and_its_sandbox_gone(lab: Lab) -> None:
    sandbox, taker = await lab.ready(RUNTIME), Taker()
    result = await sandbox.invoke(invocation({"pieces": ["one"], "end": "exit"}), taker)
    # and not that its connection was cut, which is noticed first
    assert error(result)["errorType"] == "Runtime.ExitError"
    await until(lambda: not sandbox.reusable)


async def test_a_stream_that_never_ends_times_out(lab: Lab) -> None:
    sandbox, taker = await lab.ready(RUNTIME, timeout_s=1), Taker()
    result = await sandbox.invoke(invocation({"pieces": ["one"], "end": "hang"}), taker)
    assert (b"".join(taker.pieces), error(result)["errorType"]) == (b"one", "Sandbox.Timedout")
    assert sandbox.state is SandboxState.STOPPED


async def test_a_caller_that_takes_slowly_slows_the_function_down(lab: Lab) -> None:
    sandbox, taker = await lab.ready(RUNTIME, timeout_s=20), Taker(window=1 << 20)
    running = asyncio.create_task(sandbox.invoke(invocation({"mb": 24}), taker))
    await taker.got.wait()
    await asyncio.sleep(0.3)
    held = taker.size
    assert held < 4 << 20
    taker.drink()
    assert (await running).outcome is Outcome.OK
    assert taker.size == 24 << 20


# --- the broker -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def alone() -> Iterator[PrivateServers]:
    if reason := PrivateServers.unavailable():
        missing(reason)
    with places.data_folder() as folder, PrivateServers(folder) as running:
        yield running


@dataclasses.dataclass
class Line:
    """A caller and a worker at two ends of a real broker."""

    broker: Broker
    invoker: BrokerInvoker
    requests: asyncio.Queue[Delivery]
    lane: Lane
    key: str

    def call(self) -> Invocation:
        arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
        return Invocation(str(uuid.uuid4()), self.key, arn, "none", b"{}", now_ms() + 60_000)


@pytest.fixture
async def line(alone: PrivateServers) -> AsyncIterator[Line]:
    broker = await Broker.connect(alone.broker_url, name="test")
    worker = await Broker.connect(alone.broker_url, name="test worker")
    invoker = BrokerInvoker(broker)
    await invoker.start()
    key, requests = uuid.uuid4().hex[:12], asyncio.Queue[Delivery]()
    lane = Lane(await worker.channel(prefetch=1))
    queue = await topology.declare_invoke(lane.channel, key, 0)

    def on_delivery(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
        lane.outstanding += 1
        told = envelope.read_invocation(properties, body)
        requests.put_nowait(
            Delivery(lane, method.delivery_tag, told, properties.reply_to, properties.correlation_id, False, False)
        )

    await lane.channel.consume(queue, on_delivery)
    yield Line(broker, invoker, requests, lane, key)
    await worker.close()
    await broker.close()


async def test_pieces_and_end_cross_the_broker(line: Line) -> None:
    async with line.invoker.stream(line.call(), deadline=Deadline.after(60)) as stream:
        delivery = await line.requests.get()
        assert delivery.invocation.streaming
        reply = await line.lane.open_stream(delivery)
        assert reply.write(b"one", "text/plain")
        assert await stream.started() == "text/plain"
        pieces = aiter(stream)
        assert await anext(pieces) == b"one"
        assert reply.write(b"two", "text/plain")
        delivery.answer(InvocationResult(Outcome.OK, executed_version="$LATEST"))
        assert [piece async for piece in pieces] == [b"two"]
        assert (stream.result.outcome, stream.result.executed_version) == (Outcome.OK, "$LATEST")


async def test_a_buffered_answer_is_one_piece_and_an_error_is_none(line: Line) -> None:
    for result, pieces in (
        (InvocationResult(Outcome.OK, b"x" * 200_000), [b"x" * 200_000]),
        (InvocationResult(Outcome.FUNCTION_ERROR, b"y" * 200_000), []),
    ):
        async with line.invoker.stream(line.call(), deadline=Deadline.after(60)) as stream:
            (await line.requests.get()).answer(result)
            assert [piece async for piece in stream] == pieces
            assert stream.result.payload == result.payload


async def test_the_window_closes_and_opens_again_as_pieces_are_taken(line: Line) -> None:
    async with line.invoker.stream(line.call(), deadline=Deadline.after(60)) as stream:
        delivery = await line.requests.get()
        reply = await line.lane.open_stream(delivery)
        room = asyncio.Event()
        written = 0
        while reply.write(bytes(128 << 10), "text/plain"):
            written += 128 << 10
        assert written < envelope.STREAM_WINDOW_BYTES
        reply.on_room = room.set
        await asyncio.sleep(0.1)
        assert not room.is_set()
        pieces = aiter(stream)
        for _ in range(8):  # half of it: enough to be told of
            await anext(pieces)
        async with asyncio.timeout(30):
            await room.wait()
        delivery.answer(InvocationResult(Outcome.OK))
        assert all([len(piece) async for piece in pieces])


@pytest.mark.parametrize(("per_second", "whole"), [(64 << 20, True), (1, False)])
async def test_a_response_goes_out_at_its_rate_after_the_burst(line: Line, per_second: int, whole: bool) -> None:
    room, written = asyncio.Event(), 0
    async with line.invoker.stream(line.call(), deadline=Deadline.after(60)) as stream:
        delivery = await line.requests.get()
        reply = await line.lane.open_stream(delivery, per_second)
        taking = asyncio.create_task(_take_all(stream))
        with contextlib.suppress(TimeoutError):
            while written < 12 << 20:
                written += 64 << 10
                if not reply.write(bytes(64 << 10), "text/plain"):
                    room.clear()
                    reply.on_room = room.set
                    await asyncio.wait_for(room.wait(), 30 if whole else 3)
        line.lane.close_stream(reply)
        delivery.answer(InvocationResult(Outcome.OK))
        assert await taking == written
    assert written == 12 << 20 if whole else 0 <= written - (6 << 20) <= 64 << 10


async def _take_all(stream: Any) -> int:
    return sum([len(piece) async for piece in stream])


async def test_a_caller_that_leaves_lets_the_function_run_on(line: Line) -> None:
    room = asyncio.Event()
    async with line.invoker.stream(line.call(), deadline=Deadline.after(60)) as stream:
        delivery = await line.requests.get()
        reply = await line.lane.open_stream(delivery)
        while reply.write(bytes(128 << 10), "text/plain"):
            pass
        reply.on_room = room.set
        await stream.started()
    async with asyncio.timeout(30):
        await room.wait()
    assert reply.write(bytes(10 << 20), "text/plain")
    delivery.answer(InvocationResult(Outcome.OK))
