"""How much an account has stored: functions and bytes of packages, counted from the records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Usage:
    """`code_bytes`: zipped; each published version and each layer version counts its own size, as on AWS."""

    functions: int
    code_bytes: int


async def usage(state: Store, account: str, region: str) -> Usage:
    """Of one region. Raises Unavailable."""
    try:
        functions = await state.redis.zrange(keys.functions(account, region), 0, -1)
        layers = await state.redis.zrange(keys.layers(account, region), 0, -1)
        total = 0
        for names in _batches(functions):
            pipe = state.redis.pipeline(transaction=False)
            for name in names:
                pipe.hget(keys.function(account, region, name), "record")
                pipe.hvals(keys.function_versions(account, region, name))
            found = await pipe.execute()
            records = [one for one in found[::2] if one is not None] + [one for many in found[1::2] for one in many]
            total += sum(orjson.loads(record)["code_bytes"] for record in records)
        for names in _batches(layers):
            pipe = state.redis.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(keys.layer(account, region, name))
            fields = [item for layer in await pipe.execute() for item in layer.items()]
            total += sum(orjson.loads(data)["code_bytes"] for field, data in fields if field.isdigit())
    except RedisError as exc:
        raise Unavailable(f"{state.name} did not answer: {exc}") from exc
    return Usage(len(functions), total)


def _batches(names: list[Any]) -> list[list[str]]:
    plain = [name.decode() for name in names]
    return [plain[start : start + _BATCH] for start in range(0, len(plain), _BATCH)]
