"""Connections to the two logical servers, with deadlines, and the running of scripts.

A call that gets no answer raises Unavailable; it may have been carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import redis.asyncio as aioredis
from redis.exceptions import NoScriptError, RedisError

from hearth.errors import Unavailable
from hearth.store import script
from hearth.store.connection import connection_class

if TYPE_CHECKING:
    from hearth.settings import Settings

#: A healthy server answers in well under a millisecond; an fsync on a busy disk may take a good while longer.
CALL_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
MAX_CONNECTIONS = 64
MAX_WAITING = 2000


class Store:
    """One server. `redis` is the client for plain commands, `run` runs a script of `store/lua`."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.redis: aioredis.Redis = _client(url, MAX_CONNECTIONS)
        #: for commands that block on the server (shorter than CALL_TIMEOUT_S): they don't take others' connections
        self.waiting: aioredis.Redis = _client(url, MAX_WAITING)

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        """Run `lua/<name>.lua` atomically. Raises Unavailable when the server does not answer."""
        one = script.load(name)
        try:
            try:
                return await self.redis.evalsha(one.sha1, len(keys), *keys, *args)
            except NoScriptError:  # a fresh or flushed server
                return await self.redis.eval(one.source, len(keys), *keys, *args)
        except RedisError as exc:
            raise Unavailable(f"{self.name} did not answer {name}: {exc}") from exc

    async def get(self, key: str) -> bytes | None:
        """Raises Unavailable when the server does not answer."""
        try:
            return await self.redis.get(key)  # type: ignore[return-value]
        except RedisError as exc:
            raise Unavailable(f"{self.name} did not answer: {exc}") from exc

    async def alive(self) -> bool:
        try:
            return bool(await self.redis.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        await self.redis.aclose()
        await self.waiting.aclose()


class Stores:
    """`state`: what lasts. `coordination`: leases, slots, heartbeats, which heal after a loss."""

    def __init__(self, state: Store, coordination: Store) -> None:
        self.state = state
        self.coordination = coordination

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Connections are made at the first call."""
        if not settings.state_url or not settings.coordination_url:
            raise Unavailable("HEARTH_STATE_URL and HEARTH_COORDINATION_URL are not set: start with `hearth up`")
        return cls(Store("state", settings.state_url), Store("coordination", settings.coordination_url))

    async def close(self) -> None:
        await self.state.close()
        await self.coordination.close()


def _client(url: str, connections: int) -> aioredis.Redis:
    pool: aioredis.ConnectionPool = aioredis.ConnectionPool.from_url(
        url,
        socket_timeout=CALL_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        health_check_interval=15,
        max_connections=connections,
    )
    pool.connection_class = connection_class(url)
    return aioredis.Redis.from_pool(pool)
