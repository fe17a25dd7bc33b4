"""Access keys and roles in `state`. Every change raises an epoch, by which gateways notice it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.identity import AccessKey, Role
from hearth.store import keys
from hearth.store.client import Store


@dataclass(frozen=True, slots=True)
class Identities:
    """All there are, as one read shows them."""

    access_keys: dict[str, AccessKey] = field(default_factory=dict)
    #: (account, name) -> role
    roles: dict[tuple[str, str], Role] = field(default_factory=dict)


class IdentityTable:
    """Every method raises Unavailable when `state` does not answer."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def epoch(self) -> int:
        return int(await self._state.get(keys.IDENTITIES_EPOCH) or 0)

    async def all(self) -> Identities:
        access_keys, roles = await self._transaction(lambda pipe: pipe.hgetall(keys.ACCESS_KEYS).hgetall(keys.ROLES))
        found = [Role.from_json(data) for data in roles.values()]
        return Identities(
            {name.decode(): AccessKey.from_json(data) for name, data in access_keys.items()},
            {(role.account, role.name): role for role in found},
        )

    async def role(self, account: str, name: str) -> Role | None:
        """None: nobody has said what it may do."""
        (data,) = await self._transaction(lambda pipe: pipe.hget(keys.ROLES, f"{account}:{name}"))
        return None if data is None else Role.from_json(data)

    async def put_access_key(self, key: AccessKey) -> None:
        await self._transaction(
            lambda pipe: pipe.hset(keys.ACCESS_KEYS, key.id, key.to_json()).incr(keys.IDENTITIES_EPOCH)
        )

    async def delete_access_key(self, key_id: str) -> bool:
        """False: there was none."""
        gone, _ = await self._transaction(lambda pipe: pipe.hdel(keys.ACCESS_KEYS, key_id).incr(keys.IDENTITIES_EPOCH))
        return bool(gone)

    async def put_role(self, role: Role) -> None:
        """In place of what the role was allowed before."""
        member = f"{role.account}:{role.name}"
        await self._transaction(lambda pipe: pipe.hset(keys.ROLES, member, role.to_json()).incr(keys.IDENTITIES_EPOCH))

    async def delete_role(self, account: str, name: str) -> bool:
        """False: there was none."""
        gone, _ = await self._transaction(
            lambda pipe: pipe.hdel(keys.ROLES, f"{account}:{name}").incr(keys.IDENTITIES_EPOCH)
        )
        return bool(gone)

    async def _transaction(self, commands: Any) -> Any:
        pipe = self._state.redis.pipeline(transaction=True)
        commands(pipe)
        try:
            return await pipe.execute()
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
