"""Rates of data streams' shards, counted in `coordination` for all gateways together; asked only where one is set.

Source: Kinesis Developer Guide, quotas: a shard takes 1,000 records and 1 MiB a second, and gives 5 reads and 2 MiB.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from hearth.errors import Unavailable
from hearth.model.stream import Shard, Stream
from hearth.store import keys
from hearth.store.client import Store
from hearth.store.streams import NewRecord, Record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """A second, of a shard. 0: no limit."""

    count: int
    size_bytes: int

    @property
    def limited(self) -> bool:
        return bool(self.count or self.size_bytes)


class ShardRates:
    def __init__(self, coordination: Store, incoming: Rate, outgoing: Rate) -> None:
        self._coordination = coordination
        self._incoming = incoming
        self._outgoing = outgoing

    async def may_put(self, stream: Stream, records: Sequence[NewRecord]) -> list[bool]:
        """Of each record, whether its shard takes it now; those that it takes are counted."""
        if not self._incoming.limited:
            return [True] * len(records)
        wanted = [(record.shard, record.size_bytes) for record in records]
        return await self._ask("in", self._incoming, "take", stream, wanted)

    async def may_read(self, stream: Stream, shard: Shard) -> bool:
        """Whether the shard may be read now; if so, the read is counted."""
        if not self._outgoing.limited:
            return True
        (passes,) = await self._ask("out", self._outgoing, "take", stream, [(shard, 0)])
        return passes

    async def was_read(self, stream: Stream, shard: Shard, records: Sequence[Record]) -> None:
        """Count what a read has given."""
        if self._outgoing.size_bytes and records:
            size = sum(record.size_bytes for record in records)
            await self._ask("out", self._outgoing, "owe", stream, [(shard, size)])

    async def _ask(
        self, way: str, rate: Rate, how: str, stream: Stream, wanted: Sequence[tuple[Shard, int]]
    ) -> list[bool]:
        numbers: dict[str, int] = {}
        args: list[int | str] = [rate.count, rate.size_bytes, how]
        for shard, size in wanted:
            key = keys.shard_rate(way, stream.arn, stream.created_at_ms, shard.id)
            args += (numbers.setdefault(key, len(numbers) + 1), size)
        try:
            return [bool(one) for one in await self._coordination.run("shard_rate", list(numbers), args)]
        except Unavailable as exc:
            # records matter more than their rate
            log.warning("shards' rates not counted", extra={"action": "rates_not_counted", "error": str(exc)})
            return [True] * len(wanted)
