"""Expired records of streams that nobody uses any more."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hearth.clock import now_ms
from hearth.model.attribute_value import Item
from hearth.model.change import BOTH, ChangeStream
from hearth.model.stream import HOUR_MS, Stream, first_shards, split
from hearth.model.table import KeyAttribute, Table
from hearth.settings import Settings
from hearth.store import Stores
from hearth.store.changes import ChangeLogs, change_log
from hearth.store.streams import StreamTable, shard_log
from hearth.store.tables import TableStore
from pollers.trimming import Trimmer
from tests.support.servers import PrivateServers

_ACCOUNT, _REGION = "000000000042", "eu-west-1"


@pytest.fixture
async def settings(servers: PrivateServers) -> Settings:
    return Settings(state_url=servers.state_url, coordination_url=servers.coordination_url, stream_trim_seconds=0.05)


@pytest.fixture
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    stores = Stores.connect(settings)
    yield stores
    await stores.close()


async def test_idle_streams_are_trimmed(settings: Settings, stores: Stores) -> None:
    now = now_ms()
    redis = stores.state.redis
    old_ms = now - 25 * HOUR_MS
    stream = Stream(_ACCOUNT, _REGION, uuid.uuid4().hex, old_ms, "PROVISIONED", first_shards(2, old_ms))
    stream = split(stream, stream.shards[0], 10, old_ms)
    await StreamTable(stores.state).write(stream, read=None)
    closed, idle = stream.shards[0], stream.shards[1]
    for shard in (closed, idle):
        await redis.xadd(shard_log(stream, shard), {"k": "k", "d": "old"}, id=f"{old_ms}-0")
    await redis.xadd(shard_log(stream, idle), {"k": "k", "d": "new"}, id=f"{now}-0")

    key: Item = {"pk": {"S": "k"}}
    table = Table(_ACCOUNT, _REGION, uuid.uuid4().hex, "id", old_ms, KeyAttribute("pk", "S"), None, "PAY_PER_REQUEST")
    opened = ChangeStream.opened(_ACCOUNT, _REGION, table.name, BOTH, table.key_schema, old_ms)
    ended = replace(ChangeStream.opened(_ACCOUNT, _REGION, table.name, BOTH, table.key_schema, old_ms - 1))
    tables = TableStore(stores.state)
    await tables.write(replace(table, stream=ended), read=None)
    read = await tables.get(_ACCOUNT, _REGION, table.name)
    await tables.write(replace(table, stream=opened), read=read, closed=ended.closed(old_ms))
    await redis.xadd(change_log(opened), {"e": "REMOVE", "k": str(key)}, id=f"{old_ms}-0")

    stopping = asyncio.Event()
    trimming = asyncio.create_task(Trimmer(settings, stores, "poller").run(stopping))

    async def trimmed() -> bool:
        gone = await redis.exists(shard_log(stream, closed)) == 0
        left = await redis.xlen(shard_log(stream, idle)), await redis.xlen(change_log(opened))
        streams = await ChangeLogs(stores.state).streams(_ACCOUNT, _REGION)
        return gone and left == (1, 0) and opened in streams and ended.label not in {one.label for one in streams}

    for _ in range(600):
        if await trimmed():
            break
        await asyncio.sleep(0.1)
    assert await trimmed()
    stopping.set()
    await trimming
    assert await StreamTable(stores.state).last(stream, idle) == (now, 0)
