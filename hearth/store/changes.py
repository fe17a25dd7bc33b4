"""Change records of tables in `state`: a Redis Stream for each stream of a table.

Items' writers append them in the script that writes the item (`hearth.store.tables`); this reads them. Every method
raises Unavailable when `state` does not answer.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from redis.exceptions import RedisError, ResponseError

from hearth.errors import Unavailable
from hearth.model.change import STREAM_ARN, Change, ChangeStream, horizon_ms
from hearth.model.stream import FIRST, EntryId
from hearth.store import keys
from hearth.store.client import Store

#: below the connections' own time-out
_WAIT_S = 2.0


class ChangeLogs:
    def __init__(self, state: Store) -> None:
        self._state = state

    async def stream(self, arn: str) -> ChangeStream | None:
        """By its ARN; also one that is disabled, until all of it has expired."""
        match = STREAM_ARN.fullmatch(arn)
        if match is None:
            return None
        place = keys.change_streams(match["account"], match["region"])
        found: bytes | None = await self._call(self._state.redis.hget(place, f"{match['table']}/{match['label']}"))
        return None if found is None else ChangeStream.from_json(found)

    async def streams(self, account: str, region: str) -> list[ChangeStream]:
        """All of an account, in the order of their ARNs."""
        found = await self._call(self._state.redis.hvals(keys.change_streams(account, region)))
        return sorted(map(ChangeStream.from_json, found), key=lambda stream: stream.arn)

    async def forget(self, stream: ChangeStream) -> None:
        """One that has expired."""
        place = keys.change_streams(stream.account, stream.region)
        await self._call(self._state.redis.hdel(place, f"{stream.table}/{stream.label}"))

    async def read(self, stream: ChangeStream, start: EntryId, count: int) -> list[Change]:
        """Up to `count` changes from `start` on, expired ones among them."""
        found = await self._call(self._state.redis.xrange(change_log(stream), str(start), "+", count))
        return [Change.read(EntryId.parse(entry.decode()), fields, stream.view) for entry, fields in found]

    async def read_or_wait(self, stream: ChangeStream, start: EntryId, count: int, most_s: float) -> list[Change]:
        """`read`; when there is nothing yet, what comes first within so many seconds (two at the most)."""
        before = EntryId(start.ms, start.number - 1) if start.number else EntryId(max(0, start.ms - 1), 2**63 - 1)
        block_ms = max(1, round(min(most_s, _WAIT_S) * 1000))
        streams: Any = {change_log(stream): str(before)}
        found = await self._call(self._state.waiting.xread(streams, count=count, block=block_ms))
        return [
            Change.read(EntryId.parse(entry.decode()), fields, stream.view)
            for _, entries in found or ()
            for entry, fields in entries
        ]

    async def last(self, stream: ChangeStream) -> EntryId:
        """Of the newest change that there ever was; FIRST if there was none."""
        try:
            info: Any = await self._state.redis.xinfo_stream(change_log(stream))
        except ResponseError:  # no such key
            return FIRST
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
        return EntryId.parse(info["last-generated-id"].decode())

    async def trim(self, stream: ChangeStream, now_ms: int) -> None:
        """Give back the room of what has expired; it is not served any more in any case."""
        await self._call(self._state.redis.xtrim(change_log(stream), minid=str(horizon_ms(now_ms)), approximate=False))

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc


def change_log(stream: ChangeStream) -> str:
    return keys.changes(stream.account, stream.region, stream.table, stream.label)
