"""The bare pipe's connection to RabbitMQ: pika's AsyncioConnection, writing as little as it can.

It shares no code with the platform, so that the yardstick stays where it is when the platform changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel

OPEN_S = 15.0


class Connection(AsyncioConnection):
    """Sends all frames of one loop iteration in one write; measured: a quarter more throughput at 8 in flight."""

    _pending: list[bytes] | None = None

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        if self._pending is None:
            self._pending = []
            self.ioloop.call_soon(self._flush_pending)
        self._pending.extend(marshaled_frames)

    def _flush_pending(self) -> None:
        frames, self._pending = self._pending, None
        if frames and self._transport is not None:
            self._adapter_emit_data(b"".join(frames))


def _settle(future: asyncio.Future[Any]) -> tuple[Callable[[Any], None], Callable[..., None]]:
    def done(result: Any) -> None:
        if not future.done():
            future.set_result(result)

    def failed(_: Any, exc: BaseException | str) -> None:
        if not future.done():
            future.set_exception(ConnectionError(str(exc)))

    return done, failed


async def connect(url: str) -> AsyncioConnection:
    """An open connection. Raises ConnectionError."""
    opened: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()
    done, failed = _settle(opened)
    Connection(pika.URLParameters(url), done, failed, failed, asyncio.get_running_loop())
    return await asyncio.wait_for(opened, OPEN_S)


async def open_channel(connection: AsyncioConnection) -> Channel:
    """An open channel of `connection`."""
    opened: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
    connection.channel(on_open_callback=_settle(opened)[0])
    return await asyncio.wait_for(opened, OPEN_S)


async def declare_queue(channel: Channel, queue: str) -> None:
    """A plain classic queue that ends with the connection that declared it."""
    declared: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    channel.queue_declare(queue, exclusive=False, auto_delete=True, callback=_settle(declared)[0])
    await asyncio.wait_for(declared, OPEN_S)
