"""Answers out: whole, or as a stream that goes at the client's pace and ends when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.http import Answer, ByteStream
from gateway.protocols.query import REQUEST_ID
from gateway.receiving import Receive

Send = Callable[[dict[str, Any]], Awaitable[None]]


class StreamBroken(Exception):
    """The source of a stream failed when its head was long out: all that can be told is by the connection's end."""


async def send_answer(receive: Receive, send: Send, answer: Answer, request_id: str, *, head: bool) -> None:
    """head: the request was a HEAD, whose answer has no body."""
    body, identifier = answer.body, request_id.encode()
    if REQUEST_ID in body and (b"content-type", b"text/xml") in answer.headers:
        body = body.replace(REQUEST_ID, identifier)
    if answer.stream is None or all(name != b"x-amzn-requestid" for name, _ in answer.headers):
        answer.headers.append((b"x-amzn-requestid", identifier))
    if answer.stream is not None:
        await _send_stream(receive, send, answer, answer.stream)
        return
    if answer.status != 204:
        answer.headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def _send_stream(receive: Receive, send: Send, answer: Answer, stream: ByteStream) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_pieces(send, answer, stream))
            leaving = tasks.create_task(_client_left(receive))
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            leaving.cancel()
    finally:
        await stream.aclose()


async def _pieces(send: Send, answer: Answer, stream: ByteStream) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    # `send` waits while the connection's buffer is full: so a slow client slows the source down.
    # Without the last message the server cuts the connection, which is how a client sees a broken stream.
    with contextlib.suppress(StreamBroken):
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
