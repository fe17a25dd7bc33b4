"""The platform's clock in `state`. Every function raises Unavailable when it does not answer."""

from __future__ import annotations

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store


async def read(state: Store, now_ms: int) -> tuple[int, int]:
    """(since when a scaled clock runs, real epoch ms; how far it was advanced, ms). Who asks first starts it."""
    anchor, advanced = await state.run("clock_read", keys=[keys.CLOCK], args=[now_ms])
    return int(anchor), int(advanced)


async def advance(state: Store, by_ms: int) -> int:
    """Put it forward; how far it is ahead now."""
    try:
        return int(await state.redis.hincrby(keys.CLOCK, "advanced", by_ms))
    except RedisError as exc:
        raise Unavailable(f"{state.name} did not answer: {exc}") from exc
