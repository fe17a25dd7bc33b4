"""SubscribeToShard: records pushed to a consumer as they come, for five minutes.

Over HTTP/1.1, as boto3 takes it. While nothing comes an empty event says so every five seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from gateway.call import Call
from gateway.kinesis_api.found import consumer_of, shard_to_read
from gateway.kinesis_api.positions import entry_at
from gateway.kinesis_api.records import Page, shown_children, shown_record
from hearth.clock import now_ms
from hearth.model.stream import EntryId, Shard
from hearth.store.streams import Read

LIFE_S = 300.0
_IDLE_EVENT_S = 5.0
_MAX_RECORDS = 2000


async def subscribe_to_shard(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    read, _ = await consumer_of(call, given)
    shard = shard_to_read(read.stream, given["ShardId"])
    position = given["StartingPosition"]
    asked = {
        "ShardIteratorType": position["Type"],
        "StartingSequenceNumber": position.get("SequenceNumber"),
        "Timestamp": position.get("Timestamp"),
    }
    entry = await entry_at(call, read.stream, shard, asked, now_ms())
    return {"EventStream": _Subscription(call, read, shard, entry)}


class _Subscription:
    """Implements protocols.event_stream.EventSource."""

    def __init__(self, call: Call, read: Read, shard: Shard, entry: EntryId) -> None:
        self._call = call
        self._read = read
        self._shard = shard
        self._entry = entry

    async def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        loop = asyncio.get_running_loop()
        until_s, silent_since_s = loop.time() + LIFE_S, loop.time()
        while loop.time() < until_s:
            page = await Page.read(self._call, self._read, self._shard, self._entry, _MAX_RECORDS, now_ms())
            if page.records or page.at_end or loop.time() - silent_since_s >= _IDLE_EVENT_S:
                silent_since_s = loop.time()
                yield "SubscribeToShardEvent", self._event(page)
            if page.at_end:
                return
            self._entry = page.following
            if not page.records:
                await self._wait(min(until_s, silent_since_s + _IDLE_EVENT_S) - loop.time())

    async def _wait(self, most_s: float) -> None:
        """Until there is a record to read, or the shard may have been closed."""
        table, stream = self._call.backends.streams, self._read.stream
        if not await table.wait(stream, self._shard, self._entry, most_s):
            read = await table.get(stream.account, stream.region, stream.name)
            if read is not None and read.stream.created_at_ms == stream.created_at_ms:
                self._read = read
                self._shard = read.stream.shard(self._shard.id) or self._shard

    def _event(self, page: Page) -> dict[str, Any]:
        stream, shard = self._read.stream, self._shard
        event: dict[str, Any] = {
            "Records": [shown_record(stream, shard, record) for record in page.records],
            "ContinuationSequenceNumber": shard.sequence_number(page.last or EntryId(now_ms(), 0)),
            "MillisBehindLatest": page.behind_ms,
        }
        if page.at_end:
            del event["ContinuationSequenceNumber"]
            event["ChildShards"] = shown_children(stream, shard)
        return event

    async def aclose(self) -> None:
        """It holds nothing open."""
