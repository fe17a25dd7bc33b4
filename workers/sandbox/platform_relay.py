"""The one way out of a sandbox: connections to 127.0.0.1:4566 inside are relayed byte for byte to the platform.

The listener was made in the sandbox's network namespace, which has no route; the worker accepts on it and connects
on the function's behalf, so a function reaches this address and nothing else.
"""

from __future__ import annotations

import asyncio
import socket

_CHUNK_BYTES = 64 * 1024  # read at once; asyncio holds at most twice this for a peer that does not read
_CONNECT_S = 5.0
#: Connections a sandbox may hold at once; more are closed at once. Bounds the worker's descriptors and memory.
_CONNECTIONS = 64


class PlatformRelay:
    """Relays for one sandbox, from `start` to `close`."""

    def __init__(self, listener: socket.socket, platform: tuple[str, int]) -> None:
        self._listener = listener
        self._platform = platform
        self._server: asyncio.Server | None = None
        #: each serves one connection; owned here, cancelled by close
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener, limit=_CHUNK_BYTES)

    async def close(self) -> None:
        """Stop accepting and break what is open. Idempotent."""
        if self._server is not None:
            self._server.close()
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= _CONNECTIONS:
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._relay(reader, writer)
        except asyncio.CancelledError:
            # close() ended us; asyncio's stream server would log a cancelled handler as an error.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                out_reader, out_writer = await asyncio.open_connection(*self._platform, limit=_CHUNK_BYTES)
        except OSError:  # TimeoutError is one; inside it looks like a platform that hangs up
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, out_writer))
                group.create_task(_pump(out_reader, writer))
        except* OSError:  # one side was reset: reset the other too
            writer.transport.abort()
            out_writer.transport.abort()
        finally:
            writer.close()
            out_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end; passes the half-close on, so that the other direction may go on."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
