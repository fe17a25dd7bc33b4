"""Where the platform's other parts are, in `state`, so that a worker on another host needs little more than its URL."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.settings import Settings
from hearth.store import keys
from hearth.store.client import Store

_ANY = ("0.0.0.0", "::", "")


@dataclass(frozen=True, slots=True)
class Platform:
    """As the gateway that started last told. coordination_url: as the gateway reaches it. gateway_url: empty if it
    listens on the loopback only. function_port: of its listener for functions."""

    coordination_url: str
    gateway_url: str
    function_port: int


async def announce(state: Store, settings: Settings) -> None:
    """A gateway tells where it listens. Raises Unavailable."""
    host = socket.gethostname() if settings.bind in _ANY else settings.bind
    shown = f"[{host}]" if ":" in host else host
    fields: dict[str, str | int] = {
        "coordination_url": settings.coordination_url or "",
        "gateway_url": "" if settings.loopback else f"http://{shown}:{settings.port}",
        "function_port": settings.function_listener,
    }
    redis: Any = state.redis  # its stubs mix the synchronous and the asynchronous answers
    try:
        await redis.hset(keys.PLATFORM, mapping=fields)
    except RedisError as exc:
        raise Unavailable(f"state did not answer: {exc}") from exc


async def find(state: Store) -> Platform | None:
    """None: no gateway has ever run on this state. Raises Unavailable."""
    redis: Any = state.redis
    try:
        raw = await redis.hgetall(keys.PLATFORM)
    except RedisError as exc:
        raise Unavailable(f"state did not answer: {exc}") from exc
    if not raw:
        return None
    found = {name.decode(): value.decode() for name, value in raw.items()}
    return Platform(found["coordination_url"], found["gateway_url"], int(found["function_port"]))
