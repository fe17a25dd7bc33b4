"""redis-py's connection, made safe to cancel.

redis-py writes under `asyncio.wait_for`, which on Python 3.11 returns normally when a cancellation comes just as the
write ends (CPython issue 86296): the caller's timeout or shutdown is lost. Seen in one of six timeouts around two
commands in a loop. It also costs a task per command. Here the same deadline is an `asyncio.timeout`.

A server that was restarted has closed the pool's connections; redis-py would send the next command of each in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import TimeoutError as RedisTimeoutError


class CancellableConnection(Connection):
    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        if self._closed_by_server():  # before anything was sent, so nothing is lost
            await self.disconnect(nowait=True)
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()
        timeout_s = self.socket_timeout
        # Nobody else uses a connection between a command's write and its answer.
        self.socket_timeout = None
        try:
            async with asyncio.timeout(timeout_s):
                await super().send_packed_command(command, check_health=False)
        except TimeoutError as exc:
            raise RedisTimeoutError("Timeout writing to socket") from exc
        finally:
            self.socket_timeout = timeout_s

    def _closed_by_server(self) -> bool:
        reader = self._reader
        return reader is not None and (reader.at_eof() or reader.exception() is not None)


class CancellableSSLConnection(SSLConnection, CancellableConnection):
    """The same over TLS (rediss://)."""


def connection_class(url: str) -> type[Connection]:
    return CancellableSSLConnection if url.startswith("rediss:") else CancellableConnection
