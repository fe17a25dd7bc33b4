"""Who has reserved or provisioned concurrency, read from the functions' own records in `state`.

`hearth:concurrency` names the functions that have such records; what they are stands with the function. Whatever was
read holds as long as no function has changed, which one small read tells. Every method raises Unavailable when `state`
does not answer.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.concurrency import AccountConcurrency, FunctionConcurrency, Provisioned
from hearth.store import keys
from hearth.store.client import Store
from hearth.store.functions import Beside, Function

Place = tuple[str, str, str]


class ConcurrencyTable:
    """One per process. limit: what an account may have in a region."""

    def __init__(self, state: Store, limit: int) -> None:
        self._state = state
        self._limit = limit
        self._epoch = -1
        self._functions: dict[Place, Function] = {}

    async def functions(self) -> dict[Place, Function]:
        """(account, region, name) -> function, of all that have concurrency records."""
        await self._refresh()
        return self._functions

    async def account(self, account: str, region: str) -> AccountConcurrency:
        found = await self.functions()
        return AccountConcurrency(
            self._limit,
            {name: concurrency_of(one) for (a, r, name), one in found.items() if (a, r) == (account, region)},
        )

    async def put(self, place: Place, seen_epoch: int, field: str, value: bytes | None) -> bool:
        """Write or (None) remove a function's concurrency record. False: some function has changed since `seen_epoch`,
        or this one is gone: read and decide again."""
        done = await self._state.run(
            "concurrency_put",
            keys=[keys.function(*place), keys.FUNCTIONS_EPOCH, keys.CONCURRENCY],
            args=[seen_epoch, field, value or b"", ":".join(place)],
        )
        return done == 1

    async def epoch(self) -> int:
        """What is read after it is at least as new: for `put`."""
        return int(await self._state.get(keys.FUNCTIONS_EPOCH) or 0)

    async def _refresh(self) -> None:
        epoch = await self.epoch()
        if epoch == self._epoch:
            return
        redis: Any = self._state.redis  # its stubs mix the synchronous and the asynchronous answers
        try:
            names = [raw.decode() for raw in await redis.smembers(keys.CONCURRENCY)]
            places = [_place(name) for name in names]
            pipe = redis.pipeline(transaction=False)
            for place in places:
                pipe.hgetall(keys.function(*place))
            hashes = await pipe.execute() if places else []
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
        found = dict(zip(places, map(Function.from_hash, hashes), strict=True))
        self._functions = {place: one for place, one in found.items() if one is not None}
        self._epoch = epoch
        for place in found.keys() - self._functions.keys():
            await self._state.run(
                "concurrency_forget", keys=[keys.function(*place), keys.CONCURRENCY], args=[":".join(place)]
            )


def concurrency_of(function: Function) -> FunctionConcurrency:
    reserved = function.beside_of(Beside.CONCURRENCY)
    return FunctionConcurrency(
        None if reserved is None else int(reserved),
        {qualifier: one.wanted for qualifier, one in provisioned_of(function).items()},
    )


def provisioned_of(function: Function) -> dict[str, Provisioned]:
    """Qualifier -> what is provisioned for it."""
    return {name: Provisioned.from_json(data) for name, data in function.all_beside(Beside.PROVISIONED).items()}


def _place(name: str) -> Place:
    account, region, function = name.split(":", 2)
    return account, region, function
