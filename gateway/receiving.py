"""Requests in: bodies read whole, within a limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Disconnected(Exception):
    """The client went away before its request was whole."""


async def read_body(receive: Receive, most_bytes: int) -> bytes:
    """The whole body; of one that is too long only the beginning, one byte more than allowed."""
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
        if size <= most_bytes:
            parts.append(part)
            size += len(part)
    return b"".join(parts)[: most_bytes + 1]
