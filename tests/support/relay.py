"""A TCP relay in front of a server: cuts what it passes on into pieces, falls silent, ends connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Self

_READ_BYTES = 64 << 10


class Relay:
    """A context inside a running loop; `port` is where it listens on the loopback.

    pieces: the most bytes that the other side gets at once; None passes on what comes.
    """

    def __init__(self, host: str, port: int, *, pieces: int | None = None) -> None:
        self._target = (host, port)
        self._pieces = pieces
        #: cleared: nothing goes through any more, but the connections stand
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End the connections that there are; new ones are taken."""
        for task in self._tasks:
            task.cancel()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            # Owner: this object, ended in __aexit__
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.closing(sink), contextlib.suppress(OSError):
            while data := await source.read(_READ_BYTES):
                await self.flowing.wait()
                while data:
                    size = random.randint(1, self._pieces) if self._pieces else len(data)
                    sink.write(data[:size])
                    data = data[size:]
                    await asyncio.sleep(0)  # one piece, one segment
                await sink.drain()
