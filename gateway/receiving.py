"""Requests in: bodies read whole, within a limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]

#: of any request: AWS's limit for CreateFunction, the largest of all operations here
MAX_REQUEST_BYTES = 70_167_211


class Disconnected(Exception):
    """The client went away before its request was whole."""


async def read_body(receive: Receive, limit: int = MAX_REQUEST_BYTES) -> bytes:
    """The whole body; of one that is longer than `limit` only the beginning, one byte more than allowed."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        # Read on beyond the limit: a client that is still sending does not listen for the answer.
        if size <= limit:
            parts.append(part)
            size += len(part)
    return b"".join(parts)[: limit + 1]
