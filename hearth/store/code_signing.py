"""Code signing configurations in `state`: kept and shown. Nothing here checks a signature."""

from __future__ import annotations

from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store


class CodeSigningTable:
    """Id -> members of AWS's CodeSigningConfig, by account. Methods raise Unavailable when `state` does not answer."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def get(self, account: str, region: str, config_id: str) -> dict[str, Any] | None:
        data = await self._call(self._state.redis.hget(keys.code_signing(account, region), config_id))
        return None if data is None else orjson.loads(data)

    async def put(self, account: str, region: str, config_id: str, members: dict[str, Any]) -> None:
        await self._call(self._state.redis.hset(keys.code_signing(account, region), config_id, orjson.dumps(members)))

    async def delete(self, account: str, region: str, config_id: str) -> None:
        await self._call(self._state.redis.hdel(keys.code_signing(account, region), config_id))

    async def all(self, account: str, region: str) -> list[dict[str, Any]]:
        """In the order of their ids."""
        found = await self._call(self._state.redis.hgetall(keys.code_signing(account, region)))
        return [orjson.loads(data) for _, data in sorted(found.items())]

    async def _call(self, command: Any) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
