"""Opens the Runtime API on a sandbox's listener."""

from __future__ import annotations

import asyncio
import socket

from workers.sandbox.runtime_api.api import RuntimeApi
from workers.sandbox.runtime_api.connection import RuntimeConnection


async def serve(api: RuntimeApi, listener: socket.socket) -> None:
    """Until `api.close`. Serves a duplicate: the listener itself stays its owner's to close or to use again."""
    loop = asyncio.get_running_loop()
    api.server = await loop.create_server(lambda: RuntimeConnection(api), sock=listener.dup())
