"""Asking a gateway how it is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import urlsplit

#: what to write for a listener on all addresses
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def endpoint_at(bind: str, port: int) -> str:
    """Where a gateway that listens there is reached from this host."""
    host = _ANY.get(bind, bind)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def health(endpoint: str, timeout_s: float = 2.0) -> tuple[int, dict[str, Any]] | None:
    """(HTTP status, body) of GET /health; None if nobody answers. 200: ready for work."""
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET /health HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
            answer = await reader.read()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(None, 2)[1]), json.loads(body)
    except (OSError, TimeoutError, ValueError, IndexError):
        return None
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
