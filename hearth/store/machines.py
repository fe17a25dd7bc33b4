"""State machines with their versions and aliases, and activities, in `state`.

A machine, its versions and its aliases change together or not at all: every write names the revision that it has
read, and is refused if another came first. Every method raises Unavailable when `state` does not answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.state_machine import Activity, MachineAlias, MachineVersion, StateMachine
from hearth.store import keys
from hearth.store.client import Store

#: records that a process keeps parsed; a definition may have a megabyte
_KEPT = 256


@dataclass(frozen=True, slots=True)
class Read:
    """A machine and the revision of its record; what was read must still hold when it is written."""

    machine: StateMachine
    revision: str


@dataclass(slots=True)
class Change:
    """What is to be stored together. None as a version or alias: remove it."""

    machine: StateMachine
    versions: dict[int, MachineVersion | None] = field(default_factory=dict)
    aliases: dict[str, MachineAlias | None] = field(default_factory=dict)

    def arguments(self) -> Iterable[Any]:
        for number, version in self.versions.items():
            yield from ("version", number, version.to_json() if version else "")
        for name, alias in self.aliases.items():
            yield from ("alias", name, alias.to_json() if alias else "")


class MachineTable:
    def __init__(self, state: Store) -> None:
        self._state = state
        #: revision -> the record as it was then, which does not change
        self._parsed: dict[bytes, Read] = {}

    async def get(self, account: str, region: str, name: str) -> Read | None:
        redis, key = self._state.redis, keys.machine(account, region, name)
        revision = await self._call(redis.hget(key, "revision"))
        if revision is None:
            return None
        if (known := self._parsed.get(revision)) is not None:
            return known
        found = await self._call(redis.hmget(key, ["revision", "record"]))
        if found[0] is None:
            return None
        read = Read(StateMachine.from_json(found[1]), found[0].decode())
        if len(self._parsed) >= _KEPT:
            self._parsed.clear()
        self._parsed[found[0]] = read
        return read

    async def write(self, change: Change, *, read: Read | None) -> bool:
        """False: another write came first. read None: it must not exist yet."""
        machine = change.machine
        written = await self._state.run(
            "machine_write",
            keys=[
                keys.machine(machine.account, machine.region, machine.name),
                keys.machines(machine.account, machine.region),
                keys.machine_versions(machine.account, machine.region, machine.name),
                keys.machine_aliases(machine.account, machine.region, machine.name),
            ],
            args=[
                read.revision if read else "",
                str(uuid.uuid4()),
                machine.to_json(),
                machine.name,
                machine.created_at_ms,
                *change.arguments(),
            ],
        )
        return bool(written)

    async def delete(self, account: str, region: str, name: str) -> None:
        """With its versions and aliases; executions stay."""
        pipeline = self._state.redis.pipeline(transaction=True)
        pipeline.delete(
            keys.machine(account, region, name),
            keys.machine_versions(account, region, name),
            keys.machine_aliases(account, region, name),
        )
        pipeline.zrem(keys.machines(account, region), name)
        await self._call(pipeline.execute())

    async def all(self, account: str, region: str) -> list[StateMachine]:
        """By name."""
        names = sorted(await self._call(self._state.redis.zrange(keys.machines(account, region), 0, -1)))
        pipeline = self._state.redis.pipeline(transaction=False)
        for name in names:
            pipeline.hget(keys.machine(account, region, name.decode()), "record")
        found = await self._call(pipeline.execute()) if names else []
        return [StateMachine.from_json(record) for record in found if record is not None]

    async def version(self, account: str, region: str, name: str, number: int) -> MachineVersion | None:
        found = await self._call(self._state.redis.hget(keys.machine_versions(account, region, name), str(number)))
        return None if found is None else MachineVersion.from_json(found)

    async def versions(self, account: str, region: str, name: str) -> list[MachineVersion]:
        """Newest first."""
        found = await self._call(self._state.redis.hvals(keys.machine_versions(account, region, name)))
        return sorted(map(MachineVersion.from_json, found), key=lambda version: -version.number)

    async def alias(self, account: str, region: str, name: str, alias: str) -> MachineAlias | None:
        found = await self._call(self._state.redis.hget(keys.machine_aliases(account, region, name), alias))
        return None if found is None else MachineAlias.from_json(found)

    async def aliases(self, account: str, region: str, name: str) -> list[MachineAlias]:
        """Oldest first."""
        found = await self._call(self._state.redis.hvals(keys.machine_aliases(account, region, name)))
        return sorted(map(MachineAlias.from_json, found), key=lambda alias: (alias.created_at_ms, alias.name))

    # --- activities -------------------------------------------------------------------------------------------
    async def create_activity(self, activity: Activity) -> Activity:
        """The one in force: an earlier one of the name stays as it is."""
        stored = await self._state.run(
            "activity_create",
            keys=[
                keys.activity(activity.account, activity.region, activity.name),
                keys.activities(activity.account, activity.region),
            ],
            args=[activity.to_json(), activity.name, activity.created_at_ms],
        )
        return Activity.from_json(stored)

    async def activity(self, account: str, region: str, name: str) -> Activity | None:
        found = await self._state.get(keys.activity(account, region, name))
        return None if found is None else Activity.from_json(found)

    async def replace_activity(self, activity: Activity) -> None:
        """Its tags; the last writer wins."""
        key = keys.activity(activity.account, activity.region, activity.name)
        await self._call(self._state.redis.set(key, activity.to_json(), xx=True))

    async def delete_activity(self, account: str, region: str, name: str) -> None:
        pipeline = self._state.redis.pipeline(transaction=True)
        pipeline.delete(keys.activity(account, region, name))
        pipeline.zrem(keys.activities(account, region), name)
        await self._call(pipeline.execute())

    async def activities(self, account: str, region: str) -> list[Activity]:
        """Oldest first."""
        names = await self._call(self._state.redis.zrange(keys.activities(account, region), 0, -1))
        if not names:
            return []
        wanted = [keys.activity(account, region, name.decode()) for name in names]
        return [Activity.from_json(one) for one in await self._call(self._state.redis.mget(wanted)) if one is not None]

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
