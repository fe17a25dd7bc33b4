"""Expired records of streams are given back their room, also where nobody puts or reads any more.

One poller at a time does it, by lease. What has expired is never served in any case, so nothing depends on when.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.stream import Stream
from hearth.settings import Settings
from hearth.store import Stores, keys, leases
from hearth.store.changes import ChangeLogs
from hearth.store.streams import StreamTable

log = logging.getLogger(__name__)


class Trimmer:
    """`run` is its life."""

    def __init__(self, settings: Settings, stores: Stores, poller_id: str) -> None:
        self._every_s = settings.stream_trim_seconds
        self._coordination = stores.coordination
        self._streams = StreamTable(stores.state)
        self._changes = ChangeLogs(stores.state)
        self._id = poller_id

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`."""
        while not stopping.is_set():
            try:
                if (await leases.take(self._coordination, self._id, [keys.TRIM_LEASE]))[0]:
                    await self._trim()
            except HearthError as exc:
                log.warning("streams not trimmed", extra={"action": "streams_not_trimmed", "error": str(exc)})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._every_s)

    async def _trim(self) -> None:
        """Raises Unavailable."""
        for account, region in await self._streams.places():
            after = ""
            while names := await self._streams.names(account, region, after):
                for name in names:
                    if (read := await self._streams.get(account, region, name)) is not None:
                        await self._trim_stream(read.stream)
                after = names[-1]
            now = now_ms()
            for stream in await self._changes.streams(account, region):
                if stream.expired(now):
                    await self._changes.forget(stream)
                else:
                    await self._changes.trim(stream, now)

    async def _trim_stream(self, stream: Stream) -> None:
        now = now_ms()
        for shard in stream.shards:
            await self._streams.trim(stream, shard, now)
