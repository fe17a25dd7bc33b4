"""How far event source mappings have come in their streams' shards, in `state`.

A checkpoint is written only by the holder of the shard's lease: its token is compared inside the script that writes.
What a shard's lanes carry (how far each has come, an open window's state) is written in the same call. Every method
raises Unavailable when `state` does not answer; a write may have been carried out then.

Fields of a mapping's hash: `begun` -> the stream's incarnation, `1` if that can't be told; `SHARD` -> position of the
first record that is not done with, or FINISHED; `SHARD|rewind` -> id of the last rewind that it has done;
`SHARD|layout` and `SHARD|lane:N` -> what its lanes carry.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import HearthError, Unavailable
from hearth.model.mapping import EventSourceMapping
from hearth.store import keys
from hearth.store.client import Store

#: in the place of a position: the shard has been read to its end, or is not to be read
FINISHED = "finished"
_BEGUN, _UNTOLD = "begun", "1"


class CheckpointRefused(HearthError):
    """Another holds the shard's lease now, or the mapping is gone; nothing was written."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """rewind: id of the last one that was done, empty if none was. layout: what the lanes' numbers and contents go by,
    empty if they carry nothing; lane: number -> what it carries."""

    position: str
    #: as `CheckpointTable.shards` shows it
    begun: str = _UNTOLD
    rewind: str = ""
    layout: str = ""
    lane: dict[int, bytes] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.position == FINISHED

    def is_of(self, incarnation: str) -> bool:
        return not differ(self.begun, incarnation)


class CheckpointTable:
    def __init__(self, state: Store) -> None:
        self._state = state

    async def shards(self, mapping: EventSourceMapping, shards: Sequence[str]) -> tuple[str, dict[str, Checkpoint]]:
        """With which incarnation of the stream the mapping has begun (empty: it has not), and of these shards those
        that are noted, without what their lanes carry."""
        names = [_BEGUN, *(name for shard in shards for name in (shard, f"{shard}|rewind"))]
        begun, *found = await self._call(self._state.redis.hmget(_key(mapping), names))
        noted = {
            shard: Checkpoint(position.decode(), begun.decode(), (rewind or b"").decode())
            for shard, position, rewind in zip(shards, found[::2], found[1::2], strict=True)
            if position is not None
        }
        return (begun or b"").decode(), noted

    async def begin(
        self, mapping: EventSourceMapping, starts: Mapping[str, str], *, first: bool, incarnation: str
    ) -> None:
        """Note shards with where they begin; what is noted already stays. first: the mapping's beginning, which is
        made once, by whoever comes first."""
        args = [part for one in starts.items() for part in one]
        rewind = mapping.rewind.id if mapping.rewind else ""
        begun = (incarnation or _UNTOLD) if first else ""
        await self._state.run("checkpoint_begin", [_key(mapping)], [begun, rewind, *args])

    async def restart(self, mapping: EventSourceMapping, begun: str, incarnation: str) -> None:
        """The stream is another: forget all shards of the former. Whoever still works on one writes nothing more.

        begun: as it was read; somebody else may have done it meanwhile.
        """
        fences = keys.mapping_fences(mapping.account, mapping.region, mapping.uuid)
        await self._state.run("checkpoint_restart", [fences, _key(mapping)], [begun, incarnation])

    async def forget_shards(self, mapping: EventSourceMapping, listed: Sequence[str]) -> None:
        """Drop what is noted of shards that the stream does not list any more."""
        fields = [name.decode() for name in await self._call(self._state.redis.hkeys(_key(mapping)))]
        gone = [name for name in fields if name != _BEGUN and name.partition("|")[0] not in listed]
        if gone:
            await self._call(self._state.redis.hdel(_key(mapping), *gone))

    async def load(self, mapping: EventSourceMapping, shard: str) -> Checkpoint | None:
        """None: the shard is not noted."""
        redis = self._state.redis
        names = [_BEGUN, shard, f"{shard}|rewind", f"{shard}|layout"]
        begun, position, rewind, layout = await self._call(redis.hmget(_key(mapping), names))
        if position is None:
            return None
        shown = (layout or b"").decode()
        lanes = range(int(shown.partition(":")[0] or 0))
        states = await self._call(redis.hmget(_key(mapping), [_lane(shard, one) for one in lanes])) if lanes else []
        lane = {number: state for number, state in enumerate(states) if state is not None}
        return Checkpoint(position.decode(), begun.decode(), (rewind or b"").decode(), shown, lane)

    async def commit(
        self, mapping: EventSourceMapping, shard: str, token: int, fields: Mapping[str, str | bytes]
    ) -> None:
        """fields: position, rewind, layout (LANES:...), lane:N; empty values remove. Raises CheckpointRefused."""
        args: list[Any] = [shard, token]
        for name, value in fields.items():
            args += (shard if name == "position" else f"{shard}|{name}", value)
        fences = keys.mapping_fences(mapping.account, mapping.region, mapping.uuid)
        if not await self._state.run("checkpoint_commit", [fences, _key(mapping)], args):
            raise CheckpointRefused(f"mapping {mapping.uuid}, {shard}: another poller has taken the shard over")

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc


def differ(begun: str, incarnation: str) -> bool:
    """Whether a mapping has begun with another stream of the name than this one."""
    return bool(begun and incarnation) and begun not in (_UNTOLD, incarnation)


def _key(mapping: EventSourceMapping) -> str:
    return keys.mapping_checkpoints(mapping.account, mapping.region, mapping.uuid)


def _lane(shard: str, number: int) -> str:
    return f"{shard}|lane:{number}"
