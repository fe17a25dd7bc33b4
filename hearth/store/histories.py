"""Executions' histories: in `state` while they grow and for a while after, then in compressed files of the blob store.

A file holds the execution's ARN and all records up to a point; what a redrive appends later lies in `state` again until
it is moved too. Every method raises Unavailable when `state` or the blob store does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.blobs import BlobStore
from hearth.errors import Unavailable
from hearth.model.history import HistoryEvent
from hearth.store import keys
from hearth.store.client import Store

#: files that a reader keeps: pages of one history come one after the other
_KEPT = 8


class Histories:
    def __init__(self, state: Store, blobs: BlobStore) -> None:
        self._state = state
        self._blobs = blobs
        self._files: OrderedDict[str, list[bytes]] = OrderedDict()

    async def length(self, arn: str) -> int:
        """Records in all, those among them that AWS does not show."""
        file, live = await self._where(arn)
        return (file["count"] if file else 0) + live

    async def records(self, arn: str, start: int, end: int) -> list[HistoryEvent]:
        """From position `start` up to, not including, `end`."""
        file, _ = await self._where(arn)
        moved = file["count"] if file else 0
        found: list[bytes] = []
        if file and start < moved:
            found = (await self._read(file["sha256"]))[start:end]
        if end > moved:
            list_key = keys.history(arn)
            found += await self._call(self._state.redis.lrange(list_key, max(0, start - moved), end - moved - 1))
        return [HistoryEvent.load(record) for record in found]

    async def archive(self, arn: str) -> bool:
        """Move a closed execution's history to a file; False: it was redriven or forgotten meanwhile."""
        file, _ = await self._where(arn)
        live = await self._call(self._state.redis.lrange(keys.history(arn), 0, -1))
        records = [*(await self._read(file["sha256"]) if file else ()), *live]
        sha256 = await asyncio.to_thread(self._write, arn, records)
        content = orjson.dumps({"sha256": sha256, "count": len(records)})
        names = [keys.execution(arn), keys.history(arn), keys.WORKFLOWS_UNARCHIVED]
        moved = bool(await self._state.run("history_archive", keys=names, args=[arn, content, len(live)]))
        if not moved and await self._call(self._state.redis.hget(keys.execution(arn), "status")) is None:
            await self._call(self._state.redis.zrem(keys.WORKFLOWS_UNARCHIVED, arn))
        self._drop(sha256 if not moved else file["sha256"] if file else "")
        return moved

    async def closed_before(self, at_ms: int, limit: int) -> list[str]:
        """ARNs of executions that ended before then and whose history has not been moved."""
        key = keys.WORKFLOWS_UNARCHIVED
        found = await self._call(self._state.redis.zrangebyscore(key, "-inf", at_ms, start=0, num=limit))
        return [arn.decode() for arn in found]

    async def forget(self, arn: str) -> None:
        """Delete the file, if there is one."""
        file, _ = await self._where(arn)
        self._drop(file["sha256"] if file else "")

    async def _where(self, arn: str) -> tuple[dict[str, Any] | None, int]:
        pipeline = self._state.redis.pipeline(transaction=True)
        pipeline.hget(keys.execution(arn), "archive")
        pipeline.llen(keys.history(arn))
        file, live = await self._call(pipeline.execute())
        return (orjson.loads(file) if file else None), int(live)

    async def _read(self, sha256: str) -> list[bytes]:
        known = self._files.get(sha256)
        if known is None:
            try:
                content = await asyncio.to_thread(self._blobs.path(sha256).read_bytes)
            except OSError as exc:
                raise Unavailable(f"a history's file can't be read: {exc}") from exc
            known = gzip.decompress(content).splitlines()[1:]
            self._files[sha256] = known
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)
        return known

    def _write(self, arn: str, records: list[bytes]) -> str:
        """The ARN makes the file this execution's alone, so that it can be deleted with it."""
        try:
            return self._blobs.put(gzip.compress(b"\n".join([arn.encode(), *records]), 6, mtime=0))
        except OSError as exc:
            raise Unavailable(f"a history's file can't be written: {exc}") from exc

    def _drop(self, sha256: str) -> None:
        if sha256:
            self._files.pop(sha256, None)
            with contextlib.suppress(OSError):
                self._blobs.path(sha256).unlink(missing_ok=True)

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
