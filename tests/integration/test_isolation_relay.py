"""The relay between a sandbox's platform listener and the platform, over real loopback sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from workers.sandbox.platform_relay import PlatformRelay

_MB = 1 << 20
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def a_relay(platform: Handler) -> AsyncIterator[tuple[str, int]]:
    """Address of a relay in front of `platform`."""
    async with await asyncio.start_server(platform, "127.0.0.1", 0) as server:
        listener = socket.create_server(("127.0.0.1", 0))
        relay = PlatformRelay(listener, server.sockets[0].getsockname())
        address = listener.getsockname()
        await relay.start()
        try:
            yield address
        finally:
            await relay.close()


async def count_then_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads to the end, then answers as much as it has read: needs the half-close in both directions."""
    size = len(await reader.read(-1))
    writer.write(bytes(size))
    await writer.drain()
    writer.close()


async def test_five_megabytes_go_each_way_with_a_half_close_between() -> None:
    async with a_relay(count_then_answer) as address, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(bytes(5 * _MB))
        writer.write_eof()
        assert len(await reader.read(-1)) == 5 * _MB
        writer.close()


async def test_platform_that_does_not_read_holds_the_function_back() -> None:
    resume = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await resume.wait()
        await count_then_answer(reader, writer)

    async with a_relay(slow) as address, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(bytes(64 * _MB))
        before = -1
        while before != (left := writer.transport.get_write_buffer_size()):
            before = left
            await asyncio.sleep(0.2)
        assert left > 32 * _MB  # what was taken fits the kernel's buffers and the relay's small ones
        resume.set()
        await writer.drain()
        writer.write_eof()
        assert len(await reader.read(-1)) == 64 * _MB
        writer.close()


async def test_absent_platform_looks_like_one_that_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()
    listener = socket.create_server(("127.0.0.1", 0))
    relay = PlatformRelay(listener, nobody)
    address = listener.getsockname()
    await relay.start()
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read(-1) == b""
        writer.close()
        await relay.close()


async def test_closing_breaks_open_connections_and_leaves_no_task() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    before = asyncio.all_tasks()
    async with asyncio.timeout(60):
        async with a_relay(silent) as address:
            connections = [await asyncio.open_connection(*address) for _ in range(3)]
            connections[0][1].write(b"x")
            await asyncio.sleep(0.1)
        for reader, writer in connections:
            with contextlib.suppress(ConnectionError):
                assert await reader.read(-1) == b""
            writer.close()
        if left := asyncio.all_tasks() - before:  # the platform's own handlers, on their way out
            await asyncio.wait(left)


async def test_connections_beyond_the_bound_are_closed_at_once() -> None:
    async with a_relay(count_then_answer) as address, asyncio.timeout(60):
        connections = [await asyncio.open_connection(*address) for _ in range(64)]
        await asyncio.sleep(0.2)
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read(-1) == b""
        writer.close()
        for _, other in connections:
            other.close()
