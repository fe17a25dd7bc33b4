"""Whose a function URL is: by the id that its host name begins with. The URL's configuration lies beside its function.

An owner outlives its function or alias; a request for such a URL finds no configuration and is refused.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import orjson
from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store


@dataclass(frozen=True, slots=True)
class UrlOwner:
    account: str
    region: str
    name: str
    #: an alias; empty for the function's own URL
    qualifier: str


class UrlTable:
    """Every method raises Unavailable when `state` does not answer."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def owner(self, url_id: str) -> UrlOwner | None:
        """None: nobody has it."""
        data = await self._state.get(keys.url(url_id))
        return None if data is None else UrlOwner(*orjson.loads(data))

    async def claim(self, url_id: str, owner: UrlOwner) -> bool:
        """False: the id is another's. Claiming one's own again is harmless."""
        try:
            taken = await self._state.redis.set(keys.url(url_id), orjson.dumps(astuple(owner)), nx=True)
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
        return bool(taken) or await self.owner(url_id) == owner

    async def release(self, url_id: str) -> None:
        """Raises the front doors' epoch: the id may become another's."""
        pipeline = self._state.redis.pipeline(transaction=True)
        pipeline.delete(keys.url(url_id))
        pipeline.incr(keys.DOORS_EPOCH)
        try:
            await pipeline.execute()
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
