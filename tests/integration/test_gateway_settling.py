"""Records, and when a change is in force everywhere: several gateways' parts on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway import settling
from gateway.backends import Backends, open_backends
from hearth.clock import now_ms
from hearth.credentials import platform_secret
from hearth.model.function import FunctionVersion
from hearth.settings import Settings
from hearth.store import Stores, keys
from hearth.store.functions import FunctionRecord, FunctionTable
from tests.support.servers import PrivateServers

ACCOUNT, REGION = "000000000000", "us-east-1"


@pytest.fixture
def settings(servers: PrivateServers, tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path,
        broker_url=servers.broker_url,
        state_url=servers.state_url,
        coordination_url=servers.coordination_url,
    )


@pytest.fixture
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    opened = Stores.connect(settings)
    # Other tests' gateways may be alive beside ours: these tests wait for no one else.
    await opened.coordination.redis.delete(keys.GATEWAYS)
    yield opened
    await opened.close()


@contextlib.asynccontextmanager
async def gateways(settings: Settings, count: int) -> AsyncIterator[list[Backends]]:
    """As many gateways' backends as `count`, registered."""
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(open_backends(settings)) for _ in range(count)]
        ids = {one.settler.gateway_id.encode() for one in opened}
        redis = opened[0].stores.coordination.redis
        await until(lambda: _registered(redis, ids))
        yield opened


async def _registered(redis: object, ids: set[bytes]) -> bool:
    return ids <= set(await redis.zrange(keys.GATEWAYS, 0, -1))  # type: ignore[attr-defined]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


def a_record(name: str | None = None, **changes: object) -> FunctionRecord:
    version = FunctionVersion(
        key=uuid.uuid4().hex,
        account=ACCOUNT,
        region=REGION,
        name=name or f"s-{uuid.uuid4().hex[:12]}",
        version="$LATEST",
        runtime="python3.11",
        handler="app.handler",
        role="arn:aws:iam::000000000000:role/r",
        code_sha256="00" * 32,
    )
    record = FunctionRecord(version, uuid.uuid4().hex, "Active", "Successful", now_ms(), 0, 10)
    return dataclasses.replace(record, **changes)  # type: ignore[arg-type]


def changed(record: FunctionRecord, **changes: object) -> FunctionRecord:
    """A change of it, in progress, under a new key."""
    version = dataclasses.replace(record.version, key=uuid.uuid4().hex)
    new = {"version": version, "revision_id": uuid.uuid4().hex, "unsettled_since_ms": now_ms()}
    return dataclasses.replace(record, last_update_status="InProgress", **{**new, **changes})  # type: ignore[arg-type]


async def stored(table: FunctionTable, record: FunctionRecord) -> FunctionRecord:
    found = await table.get(ACCOUNT, REGION, record.version.name)
    assert found is not None
    return found


# --- records ------------------------------------------------------------------------------------------------
async def test_only_one_of_two_writers_of_a_revision_wins(stores: Stores) -> None:
    table, record = FunctionTable(stores.state), a_record()
    assert await table.create(record)
    assert not await table.create(record)

    wins = await asyncio.gather(*(table.replace(record, changed(record)) for _ in range(8)))

    assert sorted(wins) == [False] * 7 + [True]


async def test_every_change_raises_the_epoch_and_keeps_the_old_version_for_a_while(stores: Stores) -> None:
    table, record = FunctionTable(stores.state), a_record()
    epochs = [await table.epoch()]
    await table.create(record)
    epochs.append(await table.epoch())
    new = changed(record)
    await table.replace(record, new)
    epochs.append(await table.epoch())
    redis = stores.state.redis

    assert FunctionVersion.from_json(await redis.get(keys.version(new.version.key))) == new.version
    assert await redis.ttl(keys.version(new.version.key)) == -1
    assert 0 < await redis.ttl(keys.version(record.version.key)) <= 3600
    assert await table.delete(new)
    epochs.append(await table.epoch())
    assert 0 < await redis.ttl(keys.version(new.version.key)) <= 3600
    assert epochs == sorted(set(epochs))
    assert await table.get(ACCOUNT, REGION, record.version.name) is None
    assert not await table.replace(new, changed(new))
    assert not await table.delete(new)


async def test_the_secret_is_made_once(settings: Settings, stores: Stores) -> None:
    made = await asyncio.gather(*(platform_secret(settings, stores) for _ in range(5)))

    assert len(set(made)) == 1
    assert len(made[0]) >= 32


# --- settling -----------------------------------------------------------------------------------------------
async def test_change_settles_once_every_gateway_has_let_go_of_the_old_record(
    settings: Settings, stores: Stores
) -> None:
    table, old = FunctionTable(stores.state), a_record()
    await table.create(old)
    name = old.version.name
    async with gateways(settings, 3) as (first, *others):
        for gateway in (first, *others):
            assert await gateway.cache.get(ACCOUNT, REGION, name) == old
        new = changed(old, description="new")
        await table.replace(old, new)
        await first.settler.announce(new)
        await until(lambda: _is_settled(table, new))

        for gateway in (first, *others):
            found = await gateway.cache.get(ACCOUNT, REGION, name)
            assert found is not None
            assert found.description == "new"
        settled = await stored(table, new)
        assert (settled.last_update_status, settled.version) == ("Successful", new.version)
        assert settled.revision_id != new.revision_id


async def test_gateway_that_never_acknowledges_delays_until_its_lease_ends(settings: Settings, stores: Stores) -> None:
    table, old = FunctionTable(stores.state), a_record()
    await table.create(old)
    async with gateways(settings, 1) as (gateway,):
        await stores.coordination.redis.zadd(keys.GATEWAYS, {"silent": now_ms() + 60_000})
        new = changed(old)
        await table.replace(old, new)
        started_s = time.monotonic()
        await gateway.settler.announce(new)
        await until(lambda: _is_settled(table, new))
        await stores.coordination.redis.zrem(keys.GATEWAYS, "silent")

    assert time.monotonic() - started_s >= settling.LEASE_S


async def test_change_whose_gateway_died_is_settled_by_who_reads_it(settings: Settings, stores: Stores) -> None:
    table = FunctionTable(stores.state)
    long_ago = now_ms() - settling.ABANDONED_AFTER_MS - 1
    abandoned = a_record(state="Pending", last_update_status="", unsettled_since_ms=long_ago)
    fresh = a_record(state="Pending", last_update_status="", unsettled_since_ms=now_ms())
    await table.create(abandoned)
    await table.create(fresh)
    async with gateways(settings, 1) as (gateway,):
        assert (await gateway.settler.healed(fresh)).state == "Pending"
        healed = await gateway.settler.healed(abandoned)

    assert (healed.state, healed.last_update_status) == ("Active", "Successful")
    assert await stored(table, abandoned) == healed


async def test_lost_control_message_is_made_up_for_by_the_epoch(settings: Settings, stores: Stores) -> None:
    table, old = FunctionTable(stores.state), a_record()
    await table.create(old)
    async with gateways(settings, 1) as (gateway,):
        assert await gateway.cache.get(ACCOUNT, REGION, old.version.name) == old
        new = dataclasses.replace(changed(old, description="new"), unsettled_since_ms=0)
        await table.replace(old, new)

        async def knows() -> bool:
            return await gateway.cache.get(ACCOUNT, REGION, old.version.name) == new

        await until(knows)


async def _is_settled(table: FunctionTable, record: FunctionRecord) -> bool:
    return (await stored(table, record)).settled
