"""How a batch goes over a connected stream: as an HTTP POST, or as lines."""

from __future__ import annotations

import asyncio
from socket import socket

import httptools

#: of an answer; its content is not read
_ANSWER_BYTES = 64 << 10


class Undelivered(Exception):
    """The listener did not take it."""


class _Answer:
    """httptools' view of a response: all we want is that its head is whole."""

    def __init__(self) -> None:
        self.has_head = False

    def on_headers_complete(self) -> None:
        self.has_head = True


async def post(stream: socket, port: int, path: str, body: bytes) -> None:
    """Raises OSError, or Undelivered for any answer but success."""
    loop = asyncio.get_running_loop()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: sandbox.localdomain:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    await loop.sock_sendall(stream, head.encode("ascii") + body)
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    received = 0
    while not answer.has_head:
        data = await loop.sock_recv(stream, 4096)
        received += len(data)
        if not data or received > _ANSWER_BYTES:
            raise Undelivered("no answer")
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as exc:
            raise Undelivered(str(exc)) from exc
    if not 200 <= parser.get_status_code() < 300:
        raise Undelivered(f"status {parser.get_status_code()}")


async def write_lines(stream: socket, batch: list[bytes]) -> None:
    await asyncio.get_running_loop().sock_sendall(stream, b"\n".join(batch) + b"\n")
