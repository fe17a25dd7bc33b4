"""Layers in `state`: a hash a layer, with its versions, their policies and the last number given."""

from __future__ import annotations

import dataclasses
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.layer import LayerVersion
from hearth.store import keys
from hearth.store.client import Store


class LayerTable:
    """The layers of all accounts. Every method raises Unavailable when `state` does not answer."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def publish(self, layer: LayerVersion) -> LayerVersion:
        """Stored under the next number, which it comes back with."""
        where = (layer.account, layer.region)
        number = await self._state.run(
            "layer_publish",
            keys=[keys.layer(*where, layer.name), keys.layers(*where)],
            args=[layer.name, layer.to_json()],
        )
        return dataclasses.replace(layer, number=int(number))

    async def get(self, account: str, region: str, name: str, number: int) -> LayerVersion | None:
        data = await self._call(self._state.redis.hget(keys.layer(account, region, name), str(number)))
        return None if data is None else LayerVersion.from_json(data, number)

    async def versions(self, account: str, region: str, name: str) -> list[LayerVersion]:
        """The newest first; empty for a layer that isn't there."""
        fields = await self._call(self._state.redis.hgetall(keys.layer(account, region, name)))
        found = [LayerVersion.from_json(data, int(field)) for field, data in fields.items() if field.isdigit()]
        return sorted(found, key=lambda version: -version.number)

    async def names(self, account: str, region: str) -> list[str]:
        """Of the layers that have a version, in byte order."""
        found = await self._call(self._state.redis.zrange(keys.layers(account, region), 0, -1))
        return [name.decode() for name in found]

    async def delete(self, account: str, region: str, name: str, number: int) -> None:
        """With its policy. Functions that have it keep it. One that isn't there is no error."""
        names = [keys.layer(account, region, name), keys.layers(account, region)]
        await self._state.run("layer_delete", keys=names, args=[name, number])

    async def policy(self, layer: LayerVersion) -> bytes | None:
        key = keys.layer(layer.account, layer.region, layer.name)
        return await self._call(self._state.redis.hget(key, f"policy:{layer.number}"))

    async def put_policy(self, layer: LayerVersion, old: bytes | None, new: bytes | None) -> bool:
        """Make, change or (None) remove a version's policy. False: it was changed or deleted meanwhile."""
        names = [keys.layer(layer.account, layer.region, layer.name)]
        return await self._state.run("layer_policy", keys=names, args=[layer.number, old or b"", new or b""]) == 1

    async def _call(self, command: Any) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
