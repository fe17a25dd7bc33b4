"""Waiting for what comes to a Redis Stream, on a connection that nobody else waits for."""

from __future__ import annotations

from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.stream import EntryId
from hearth.store.client import Store

#: below the connections' own time-out
_WAIT_S = 2.0

#: id and fields of each, in order
Entries = list[tuple[bytes, dict[bytes, bytes]]]


async def arrivals(
    state: Store, log: str, start: EntryId, count: int, most_s: float, beside: str = ""
) -> tuple[Entries, dict[bytes, bytes] | None]:
    """Up to `count` entries from `start` on; if there are none yet, what comes first within so many seconds (two at
    the most).

    beside: key of a hash that is read as well, after the entries have come, without another round trip: the server
    goes on with what a connection asks for only when its wait is over. Raises Unavailable.
    """
    block_ms = max(1, round(min(most_s, _WAIT_S) * 1000))
    streams: Any = {log: str(_before(start))}
    asked = state.waiting.pipeline(transaction=False)
    asked.xread(streams, count=count, block=block_ms)
    if beside:
        asked.hgetall(beside)
    try:
        found, *hashes = await asked.execute()
    except RedisError as exc:
        raise Unavailable(f"{state.name} did not answer: {exc}") from exc
    entries = [entry for _, of_log in found or () for entry in of_log]
    return entries, hashes[0] if hashes else None


def _before(entry: EntryId) -> EntryId:
    """What XREAD is to read after."""
    return EntryId(entry.ms, entry.number - 1) if entry.number else EntryId(max(0, entry.ms - 1), 2**63 - 1)
