"""Event source mappings in `state`, with what their units need there: lease tokens and checkpoints.

A mapping is replaced only by who has read its latest generation, and two mappings never join one source to one
function. Every change raises `hearth:mappings:epoch`, by which pollers notice it. What a unit writes (a checkpoint)
compares its lease token with `keys.mapping_fences` inside its own script; both are gone with the mapping.
How far units are is told in `coordination` and may be lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Sequence
from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.mapping import NO_RECORDS, EventSourceMapping, Progress
from hearth.store import keys
from hearth.store.client import Store

#: of what units tell about themselves
_PROGRESS_LIFE_S = 24 * 3600


@dataclasses.dataclass(frozen=True, slots=True)
class Duplicate:
    """Another mapping joins the same source to the same function."""

    uuid: str


class MappingTable:
    """Every method raises Unavailable when a store does not answer."""

    def __init__(self, state: Store, coordination: Store) -> None:
        self._state = state
        self._coordination = coordination

    async def get(self, account: str, region: str, uuid: str) -> EventSourceMapping | None:
        found = await self._call(self._state.redis.hmget(keys.mapping(account, region, uuid), ["record", "generation"]))
        return None if found[0] is None else EventSourceMapping.from_json(found[0], int(found[1]))

    async def find(
        self, account: str, region: str, *, source_arn: str = "", function: str = "", qualifier: str = ""
    ) -> list[str]:
        """Their uuids in order: of the account, of a source, of a function (with that qualifier, or any without)."""
        pairs = await self._call(self._state.redis.hgetall(keys.mapping_pairs(account, region)))
        found = []
        for pair, uuid in pairs.items():
            source, name, own_qualifier, _ = pair.decode().split("|", 3)
            if source_arn in ("", source) and function in ("", name) and qualifier in ("", own_qualifier):
                found.append(uuid.decode())
        return sorted(found)

    async def several(self, account: str, region: str, uuids: Sequence[str]) -> list[EventSourceMapping]:
        """Those that there still are, in the order of `uuids`."""
        return await self._read([(account, region, uuid) for uuid in uuids])

    async def all(self) -> list[EventSourceMapping]:
        """Of all accounts, in a fixed order."""
        members: Any = self._state.redis.smembers(keys.MAPPINGS)
        found = sorted(member.decode() for member in await self._call(members))
        return await self._read([tuple(member.split(":", 2)) for member in found])

    async def _read(self, places: Sequence[tuple[str, ...]]) -> list[EventSourceMapping]:
        if not places:
            return []
        pipeline = self._state.redis.pipeline(transaction=False)
        for account, region, uuid in places:
            pipeline.hmget(keys.mapping(account, region, uuid), ["record", "generation"])
        found = await self._call(pipeline.execute())
        return [EventSourceMapping.from_json(record, int(number)) for record, number in found if record is not None]

    async def tags(self, mapping: EventSourceMapping) -> dict[str, str]:
        key = keys.mapping(mapping.account, mapping.region, mapping.uuid)
        return orjson.loads(await self._call(self._state.redis.hget(key, "tags")) or b"{}")

    async def put_tags(self, mapping: EventSourceMapping, old: dict[str, str], new: dict[str, str]) -> bool:
        """No change of the record: nothing is stopped for it. False: they, or the mapping, were changed meanwhile."""
        key = keys.mapping(mapping.account, mapping.region, mapping.uuid)
        return bool(await self._state.run("mapping_tags", keys=[key], args=[_tags(old), _tags(new)]))

    async def write(
        self, new: EventSourceMapping, *, read: EventSourceMapping | None = None
    ) -> EventSourceMapping | Duplicate | None:
        """Store it as new, or in the place of `read`: as it is stored then. None: somebody has changed it since."""
        where = (new.account, new.region)
        reply = await self._state.run(
            "mapping_write",
            keys=[keys.mapping(*where, new.uuid), keys.mapping_pairs(*where), keys.MAPPINGS, keys.MAPPINGS_EPOCH],
            args=[
                new.uuid,
                read.generation if read else 0,
                new.to_json(),
                _pair(new),
                _pair(read) if read else "",
                _member(new),
            ],
        )
        if isinstance(reply, bytes):
            return Duplicate(reply.decode())
        return dataclasses.replace(new, generation=int(reply)) if reply else None

    async def delete(self, mapping: EventSourceMapping) -> bool:
        """With its units' tokens and checkpoints. False: somebody has changed or deleted it since it was read."""
        where = (mapping.account, mapping.region)
        deleted = await self._state.run(
            "mapping_delete",
            keys=[
                keys.mapping(*where, mapping.uuid),
                keys.mapping_pairs(*where),
                keys.MAPPINGS,
                keys.MAPPINGS_EPOCH,
                keys.mapping_fences(*where, mapping.uuid),
                keys.mapping_checkpoints(*where, mapping.uuid),
            ],
            args=[mapping.generation, _pair(mapping), _member(mapping)],
        )
        if deleted:
            await self._call(self._coordination.redis.unlink(keys.mapping_progress(mapping.uuid)))
        return bool(deleted)

    async def epoch(self) -> int:
        """Raised by every write of any mapping's record."""
        return int(await self._call(self._state.redis.get(keys.MAPPINGS_EPOCH)) or 0)

    # --- units ------------------------------------------------------------------------------------------------
    async def next_token(self, mapping: EventSourceMapping, unit: str) -> int | None:
        """A lease token higher than every one before it. None: the mapping is not as it was read any more."""
        where = (mapping.account, mapping.region, mapping.uuid)
        names = [keys.mapping(*where), keys.mapping_fences(*where)]
        return int(await self._state.run("mapping_fence", keys=names, args=[mapping.generation, unit])) or None

    async def units_ever(self, mapping: EventSourceMapping) -> list[str]:
        """Of which a token was given."""
        key = keys.mapping_fences(mapping.account, mapping.region, mapping.uuid)
        return [unit.decode() for unit in await self._call(self._state.redis.hkeys(key))]

    # --- what became of its records ---------------------------------------------------------------------------
    async def note_result(self, mapping: EventSourceMapping, result: str) -> None:
        """LastProcessingResult. Not a change of the record; call it when the result differs from the one before."""
        key = keys.mapping(mapping.account, mapping.region, mapping.uuid)
        await self._state.run("mapping_note", keys=[key], args=[result])

    async def results(self, mappings: Sequence[EventSourceMapping]) -> list[str]:
        """LastProcessingResult of each."""
        if not mappings:
            return []
        pipeline = self._state.redis.pipeline(transaction=False)
        for one in mappings:
            pipeline.hget(keys.mapping(one.account, one.region, one.uuid), "result")
        return [data.decode() if data else NO_RECORDS for data in await self._call(pipeline.execute())]

    async def report(self, mapping: EventSourceMapping, unit: str, progress: Progress) -> None:
        """Tell people how far a unit is. Cheap, but call it no more than about once a second."""
        key = keys.mapping_progress(mapping.uuid)
        pipeline = self._coordination.redis.pipeline(transaction=False)
        pipeline.hset(key, unit, progress.to_json())
        pipeline.expire(key, _PROGRESS_LIFE_S)
        await self._call(pipeline.execute())

    async def progress(self, mapping: EventSourceMapping) -> dict[str, Progress]:
        """Unit -> how far it is, by name."""
        found = await self._call(self._coordination.redis.hgetall(keys.mapping_progress(mapping.uuid)))
        return {unit.decode(): Progress.from_json(data) for unit, data in sorted(found.items())}

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"a store did not answer: {exc}") from exc


def _tags(tags: dict[str, str]) -> bytes:
    return orjson.dumps(tags, option=orjson.OPT_SORT_KEYS) if tags else b""


def _pair(mapping: EventSourceMapping) -> str:
    """What no other mapping may have; `find` reads it."""
    return f"{mapping.source_arn}|{mapping.function}|{mapping.qualifier}|{','.join(mapping.queues)}"


def _member(mapping: EventSourceMapping) -> str:
    return f"{mapping.account}:{mapping.region}:{mapping.uuid}"
