"""The Runtime API's endpoint, driven by the bytes of a runtime: order, faults, bounds."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from hearth.model.invocation import Invocation
from workers.sandbox.runtime_api import Answer, Ending, InitError, RuntimeApi
from workers.sandbox.runtime_api.connection import RuntimeConnection

ID = "7f3a6d0e-0000-4000-8000-000000000001"
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
INVALID_ID = b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}'
DEADLINE_MS = 1_735_787_048_678


class Wire(asyncio.Transport):
    """What one connection wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close


class Runtime:
    """A runtime's side: connections of one RuntimeApi."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.waits = 0
        self.api = RuntimeApi(self)

    def event_taken(self, invocation: Invocation) -> int:
        self.taken.append(invocation.request_id)
        return DEADLINE_MS

    def runtime_waits(self) -> None:
        self.waits += 1

    def connect(self) -> tuple[RuntimeConnection, Wire]:
        connection, wire = RuntimeConnection(self.api), Wire()
        connection.connection_made(wire)
        return connection, wire

    def send(self, data: bytes, *, pieces: int = 0) -> bytes:
        """All that a connection of its own answers; pieces: bytes at a time."""
        connection, wire = self.connect()
        for at in range(0, len(data), pieces or len(data)):
            connection.data_received(data[at : at + (pieces or len(data))])
        return wire.written


def event(request_id: str = ID, payload: bytes = b'{"a":1}', **more: str) -> Invocation:
    return Invocation(
        request_id, "k", "arn:aws:lambda:us-east-1:000000000000:function:f", "python3.11", payload, 0, **more
    )  # type: ignore[arg-type]


def post(path: str, body: bytes = b"{}", *headers: str) -> bytes:
    lines = (f"POST /2018-06-01/runtime/{path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def respond(body: bytes = b"{}", *headers: str, request_id: str = ID) -> bytes:
    return post(f"invocation/{request_id}/response", body, "Content-Type: application/json", *headers)


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def body(reply: bytes) -> bytes:
    return reply.partition(b"\r\n\r\n")[2]


@pytest.fixture
async def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
async def running(runtime: Runtime) -> tuple[Runtime, asyncio.Future[Answer | Ending]]:
    """A runtime that has taken the event ID."""
    runtime.send(NEXT)
    return runtime, runtime.api.offer(event())


@pytest.mark.parametrize("asks_first", [True, False])
async def test_event_and_next_meet_in_either_order(runtime: Runtime, asks_first: bool) -> None:
    connection, wire = runtime.connect()
    if asks_first:
        connection.data_received(NEXT)
        assert (wire.written, runtime.api.started.done()) == (b"", True)
        runtime.api.offer(event())
    else:
        runtime.api.offer(event())
        assert runtime.taken == []
        connection.data_received(NEXT)
    head, _, payload = wire.written.partition(b"\r\n\r\n")
    assert payload == b'{"a":1}'
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        f"Lambda-Runtime-Aws-Request-Id: {ID}",
        f"Lambda-Runtime-Deadline-Ms: {DEADLINE_MS}",
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f",
        "Content-Length: 7",
    ]
    assert runtime.taken == [ID]


async def test_callers_text_stays_inside_its_header(runtime: Runtime) -> None:
    connection, wire = runtime.connect()
    runtime.api.offer(event(trace_id="Root=1\r\nEvil: 1", client_context='{\n"custom": {"ä": 1}\n}'))
    connection.data_received(NEXT)
    lines = body(b"\r\n\r\n" + wire.written).decode().split("\r\n")
    assert "Lambda-Runtime-Trace-Id: Root=1 Evil: 1" in lines
    assert 'Lambda-Runtime-Client-Context: { "custom": {"ä": 1} }' in lines


@pytest.mark.parametrize("pieces", [0, 1, 7])
async def test_a_response_resolves_the_invocation_in_whatever_pieces_it_comes(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]], pieces: int
) -> None:
    runtime, answer = running
    reply = runtime.send(respond(b'{"b":2}'), pieces=pieces)
    assert (status(reply), body(reply)) == (202, b'{"status":"OK"}')
    assert answer.result() == Answer(b'{"b":2}', "application/json", "")


async def test_chunked_bodies_are_joined(running: tuple[Runtime, asyncio.Future[Answer | Ending]]) -> None:
    runtime, answer = running
    path = f"POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    runtime.send(path.encode() + b"3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n")
    assert answer.result() == Answer(b"[1,2]", "application/octet-stream", "")


async def test_curl_is_told_to_go_on(running: tuple[Runtime, asyncio.Future[Answer | Ending]]) -> None:
    runtime, answer = running
    connection, wire = runtime.connect()
    head, _, payload = respond(b"123", "Expect: 100-continue").partition(b"\r\n\r\n")
    connection.data_received(head + b"\r\n\r\n")
    assert wire.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.data_received(payload)
    assert answer.done()


async def test_one_connection_serves_many_events(runtime: Runtime) -> None:
    connection, wire = runtime.connect()
    connection.data_received(NEXT)
    for number in range(3):
        answer = runtime.api.offer(event(f"id-{number}", b"%d" % number))
        wire.written = b""
        connection.data_received(respond(b"[%d]" % number, request_id=f"id-{number}") + NEXT)
        assert answer.result() == Answer(b"[%d]" % number, "application/json", "")
        assert status(wire.written) == 202
    assert runtime.waits == 4


async def test_requests_behind_a_parked_next_wait_for_it(runtime: Runtime) -> None:
    connection, wire = runtime.connect()
    connection.data_received(NEXT + respond(b"1"))
    assert wire.written == b""
    answer = runtime.api.offer(event())
    assert answer.result() == Answer(b"1", "application/json", "")
    assert wire.written.index(b"200 OK") < wire.written.index(b"202 Accepted")


async def test_too_many_requests_ahead_end_the_connection(runtime: Runtime) -> None:
    connection, wire = runtime.connect()
    connection.data_received(NEXT * 40)
    assert wire.closed


async def test_the_same_event_again_for_another_next(running: tuple[Runtime, asyncio.Future[Answer | Ending]]) -> None:
    runtime, _ = running
    reply = runtime.send(NEXT)
    assert (status(reply), body(reply), runtime.taken) == (200, b'{"a":1}', [ID])


async def test_a_lost_waiting_connection_does_not_swallow_the_event(runtime: Runtime) -> None:
    connection, _ = runtime.connect()
    connection.data_received(NEXT)
    connection.connection_lost(None)
    runtime.api.offer(event())
    assert runtime.taken == []
    assert body(runtime.send(NEXT)) == b'{"a":1}'


async def test_a_foreign_id_is_refused_before_the_state_is_looked_at(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]],
) -> None:
    runtime, answer = running
    for path in ("invocation/other/response", "invocation/other/error"):
        reply = runtime.send(post(path))
        assert (status(reply), body(reply)) == (400, INVALID_ID)
    assert not answer.done()


async def test_an_answer_before_any_event_has_an_invalid_id(runtime: Runtime) -> None:
    runtime.send(NEXT)
    assert status(runtime.send(respond())) == 400


@pytest.mark.parametrize(("path", "wanted"), [("response", "InvocationResponse"), ("error", "InvocationErrorResponse")])
async def test_a_second_answer_is_a_forbidden_transition(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]], path: str, wanted: str
) -> None:
    runtime, answer = running
    runtime.send(respond(b"1"))
    reply = runtime.send(post(f"invocation/{ID}/{path}"))
    assert status(reply) == 403
    assert json.loads(body(reply)) == {
        "errorMessage": f"State transition from RuntimeResponseSentState to {wanted} failed for runtime. "
        "Error: State transition is not allowed",
        "errorType": "InvalidStateTransition",
    }
    assert answer.result() == Answer(b"1", "application/json", "")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Runtime.UnmarshalError", "Runtime.UnmarshalError"),
        ("Function.Custom", "Function.Custom"),
        ("Function.custom", "Function.Unknown"),
        ("KeyError", "Runtime.Unknown"),
        ("", "Runtime.Unknown"),
    ],
)
async def test_a_posted_error_is_the_result_untouched(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]], sent: str, kept: str
) -> None:
    runtime, answer = running
    document = b'{"errorMessage": "boom",  "errorType":"KeyError"}'
    headers = ("Content-Type: application/json", f"Lambda-Runtime-Function-Error-Type: {sent}")
    assert status(runtime.send(post(f"invocation/{ID}/error", document, *headers))) == 202
    assert answer.result() == Answer(document, "application/json", kept)


async def test_the_cause_for_xray_is_not_the_callers(running: tuple[Runtime, asyncio.Future[Answer | Ending]]) -> None:
    runtime, answer = running
    kind = "Content-Type: application/vnd.aws.lambda.error.cause+json"
    runtime.send(post(f"invocation/{ID}/error", b'{"errorType":"E","errorCause":{"x":1}}', kind))
    assert answer.result() == Answer(b'{"errorType":"E"}', "application/json", "Runtime.Unknown")


@pytest.mark.parametrize(("size", "code"), [(6_291_556, 202), (6_291_557, 413)])
async def test_the_response_limit_is_exact(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]], size: int, code: int
) -> None:
    runtime, answer = running
    reply = runtime.send(respond(b"x" * size), pieces=1 << 18)
    assert status(reply) == code
    result = answer.result()
    assert isinstance(result, Answer)
    if code == 413:
        assert json.loads(body(reply))["errorMessage"] == "Exceeded maximum allowed payload size (6291556 bytes)."
        assert result.error_type == "Function.ResponseSizeTooLarge"
        assert json.loads(result.body) == {
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    else:
        assert len(result.body) == size


async def test_init_error_ends_the_start(runtime: Runtime) -> None:
    header = "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError"
    assert status(runtime.send(post("init/error", b'{"errorType":"x"}', header))) == 202
    assert runtime.api.started.result() == InitError(
        b'{"errorType":"x"}', "application/json", "Runtime.ImportModuleError"
    )
    assert b"from InitError to Ready" in runtime.send(NEXT)


async def test_init_error_after_the_first_next_is_forbidden(runtime: Runtime) -> None:
    runtime.send(NEXT)
    reply = runtime.send(post("init/error"))
    assert status(reply) == 403
    assert b"from Ready to InitError" in reply


async def test_streamed_responses_are_buffered(running: tuple[Runtime, asyncio.Future[Answer | Ending]]) -> None:
    runtime, answer = running
    runtime.send(respond(b"abc", "Lambda-Runtime-Function-Response-Mode: streaming"))
    assert answer.result() == Answer(b"abc", "application/json", "")


async def test_an_error_in_a_streams_trailers_is_the_result(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]],
) -> None:
    runtime, answer = running
    document = b'{"errorType":"MidStream"}'
    runtime.send(
        f"POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
        "2\r\nab\r\n0\r\nLambda-Runtime-Function-Error-Type: Function.MidStream\r\n"
        f"Lambda-Runtime-Function-Error-Body: {base64.b64encode(document).decode()}\r\n\r\n".encode()
    )
    assert answer.result() == Answer(document, "application/json", "Function.MidStream")


async def test_an_unknown_response_mode_fails_the_invocation(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]],
) -> None:
    runtime, answer = running
    reply = runtime.send(respond(b"x", "Lambda-Runtime-Function-Response-Mode: shouting"))
    assert (status(reply), json.loads(body(reply))["errorType"]) == (400, "InvalidFunctionResponseMode")
    result = answer.result()
    assert isinstance(result, Answer)
    assert result.error_type == "Runtime.InvalidResponseModeHeader"


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_cut_body_is_told_and_ends_a_stream_only(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]], streamed: bool
) -> None:
    runtime, answer = running
    connection, wire = runtime.connect()
    mode = ("Lambda-Runtime-Function-Response-Mode: streaming",) if streamed else ()
    connection.data_received(respond(b"abcdef", *mode)[:-3])
    connection.eof_received()
    connection.connection_lost(None)
    assert json.loads(body(wire.written))["errorType"] == "TruncatedHTTPRequest"
    assert not answer.done()
    runtime.api.conclude()
    assert answer.done() is streamed
    if streamed:
        result = answer.result()
        assert isinstance(result, Answer)
        assert result.error_type == "Runtime.TruncatedResponse"


async def test_a_stream_that_is_cut_by_its_runtimes_end_ends_with_that(
    running: tuple[Runtime, asyncio.Future[Answer | Ending]],
) -> None:
    runtime, answer = running
    connection, _ = runtime.connect()
    connection.data_received(respond(b"abcdef", "Lambda-Runtime-Function-Response-Mode: streaming")[:-3])
    connection.connection_lost(None)
    ending = Ending("Runtime.ExitError", "Runtime exited with error: exit status 1")
    runtime.api.end(ending)
    runtime.api.conclude()
    assert answer.result() == ending


async def test_an_ending_resolves_whatever_is_awaited_and_the_first_one_counts(runtime: Runtime) -> None:
    first, second = Ending("Runtime.ExitError", "one"), Ending("Sandbox.Timedout", "two", timed_out=True)
    runtime.api.end(first)
    runtime.api.end(second)
    assert runtime.api.started.result() == first
    assert runtime.api.offer(event()).result() == first


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET /ping HTTP/1.1\r\n\r\n", 200),
        (b"GET /2018-06-01/runtime/nothing HTTP/1.1\r\n\r\n", 404),
        (b"GET /2018-06-01/runtime/invocation/x/else HTTP/1.1\r\n\r\n", 404),
        (b"POST /2018-06-01/runtime/invocation/next HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_other_requests(runtime: Runtime, request_: bytes, code: int) -> None:
    assert status(runtime.send(request_)) == code


async def test_an_offer_to_upgrade_is_answered_as_plain_http(runtime: Runtime) -> None:
    offer = b"GET /ping HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    assert runtime.send(offer + b"GET /ping HTTP/1.1\r\n\r\n").count(b"pong") == 2


async def test_connection_close_is_honoured_after_the_event(runtime: Runtime) -> None:
    connection, wire = runtime.connect()
    connection.data_received(NEXT.replace(b"Host: x", b"Connection: close"))
    assert not wire.closed
    runtime.api.offer(event())
    assert wire.closed


async def test_connections_are_bounded(runtime: Runtime) -> None:
    wires = [runtime.connect()[1] for _ in range(40)]
    assert [wire.closed for wire in wires].count(True) == 8


async def test_a_head_without_end_is_cut_off(runtime: Runtime) -> None:
    connection, wire = runtime.connect()
    connection.data_received(b"GET /ping HTTP/1.1\r\nX: ")
    for _ in range(40):
        connection.data_received(b"y" * (1 << 16))
        if wire.closed:
            break
    assert wire.closed
