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
from hearth.store.arrivals import arrivals
from hearth.store.client import Store


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

    async def read_or_wait(
        self, stream: ChangeStream, start: EntryId, count: int, most_s: float, beside: str = ""
    ) -> tuple[list[Change], dict[bytes, bytes] | None]:
        """`read`; when there is nothing yet, what comes first within so many seconds (two at the most).

        beside: key of a hash; it is read after the changes have come (`hearth.store.arrivals`).
        """
        entries, beside_them = await arrivals(self._state, change_log(stream), start, count, most_s, beside)
        changes = [Change.read(EntryId.parse(entry.decode()), fields, stream.view) for entry, fields in entries]
        return changes, beside_them

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
