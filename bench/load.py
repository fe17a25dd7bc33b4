"""A closed-loop HTTP/1.1 load generator that costs little CPU, so that it measures the other side.

Each of C connections sends a request, waits for its answer, checks it and sends the next. Requests are complete
byte strings prepared before the clock starts (a signature costs more than a whole request here). The answers must
carry Content-Length. One event loop, no task per request.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import cast
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """`wire`: the request as sent. `expected`, `status`: body and status of a right answer, compared byte by byte.

    expected None: any body is right.
    """

    wire: bytes
    expected: bytes | None
    status: bytes = b"200"


@dataclass(slots=True)
class Load:
    """What one run saw. Latencies (ns) are of right answers only; `errors` counts the rest by what was seen.

    sent_ns: when each of those requests was sent, by the monotonic clock.
    """

    seconds: float = 0.0
    latencies_ns: list[int] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    sent_ns: list[int] = field(default_factory=list)

    @property
    def throughput(self) -> float:
        """Right answers per second."""
        return len(self.latencies_ns) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """Nearest-rank percentile of the latencies in ms; nan where nothing was answered."""
        if not self.latencies_ns:
            return math.nan
        ordered = sorted(self.latencies_ns)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] / 1e6


def plain_requests(url: str, payloads: Sequence[bytes]) -> list[Request]:
    """A POST of each payload with no more headers than HTTP needs; the answer is the payload."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-length: "
    return [Request(f"{head}{len(body)}\r\n\r\n".encode() + body, body) for body in payloads]


class _Clients:
    """What the connections of one run share: the requests in turn, the end of it, and what was seen."""

    def __init__(self, requests: Sequence[Request], budget: int | None, concurrency: int, pause_s: float) -> None:
        self.load = Load()
        self.pause_s = pause_s
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._budget = budget
        self._sent = 0
        self._stopped = False
        self._open = concurrency

    def next_request(self) -> Request | None:
        if self._stopped or self._sent == self._budget:
            return None
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        return request

    def stop(self) -> None:
        """Send nothing more; what is in flight is waited for."""
        self._stopped = True

    def finished(self) -> None:
        """One connection has no more to do."""
        self._open -= 1
        if self._open == 0 and not self.done.done():
            self.done.set_result(None)


class _Client(asyncio.Protocol):
    """One keep-alive connection in its loop."""

    def __init__(self, clients: _Clients) -> None:
        self._clients = clients
        self._load = clients.load
        self._received = b""
        self._request: Request | None = None
        self._sent_ns = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def start(self) -> None:
        self._request = self._clients.next_request()
        if self._request is None:
            self._transport.close()
            self._clients.finished()
            return
        self._sent_ns = monotonic_ns()
        self._transport.write(self._request.wire)

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = received[:head_end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            self._fail(f"answer without Content-Length: {head[:200]!r}")
            return
        line_end = head.find(b"\r\n", at + 17)
        length = int(head[at + 17 : line_end if line_end >= 0 else None])
        if len(received) < head_end + 4 + length:
            return
        elapsed_ns = monotonic_ns() - self._sent_ns
        self._received = b""
        self._judge(head, received[head_end + 4 :], elapsed_ns)
        if self._clients.pause_s:
            asyncio.get_running_loop().call_later(self._clients.pause_s, self.start)
        else:
            self.start()

    def _judge(self, head: bytes, body: bytes, elapsed_ns: int) -> None:
        assert self._request is not None
        if head[9:12] == self._request.status and self._request.expected in (None, body):
            self._load.latencies_ns.append(elapsed_ns)
            self._load.sent_ns.append(self._sent_ns)
        else:
            self._load.errors[f"{head[9:12].decode()} {body[:160].decode(errors='replace')}"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request is not None:
            self._fail(f"connection lost: {exc or 'closed by the server'}")

    def _fail(self, what: str) -> None:
        self._load.errors[what] += 1
        self._request = None
        self._transport.abort()
        self._clients.finished()


async def run_load(
    host: str,
    port: int,
    requests: Sequence[Request],
    *,
    concurrency: int,
    seconds: float | None = None,
    count: int | None = None,
    pause_s: float = 0.0,
    grace_s: float = 30.0,
) -> Load:
    """Send `requests` in turn over `concurrency` connections, for so many seconds or until `count` are sent.

    pause_s: of each connection, between an answer and its next request.

    Connections are open before the clock starts. What is still unanswered `grace_s` after the end counts as an
    error. A connection that breaks is an error too and is not replaced.
    """
    loop = asyncio.get_running_loop()
    clients = _Clients(requests, count, concurrency, pause_s)
    opened = [await loop.create_connection(lambda: _Client(clients), host, port) for _ in range(concurrency)]
    started_ns = monotonic_ns()
    for _, client in opened:
        client.start()
    timer = loop.call_later(seconds, clients.stop) if seconds is not None else None
    try:
        limit_s = None if seconds is None else seconds + grace_s
        await asyncio.wait_for(asyncio.shield(clients.done), limit_s)
    except TimeoutError:
        clients.load.errors[f"unanswered after {grace_s:g} s"] += 1
    finally:
        clients.load.seconds = (monotonic_ns() - started_ns) / 1e9
        clients.stop()
        if timer is not None:
            timer.cancel()
        for transport, _ in opened:
            transport.abort()
    return clients.load
