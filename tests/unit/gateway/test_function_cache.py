"""The cache on the Invoke path: what it believes, for how long, and what it forgets."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.epoch_lease import LEASE_S
from gateway.function_cache import FunctionCache
from hearth.errors import Unavailable
from hearth.model.function import Alias
from hearth.store.functions import Function, FunctionRecord
from tests.unit.gateway.test_configuration import a_record

KEY = ("000000000000", "us-east-1", "f")


class Table:
    """Records in memory, with the reads counted."""

    def __init__(self) -> None:
        self.record: FunctionRecord | None = a_record()
        self.number = 1
        self.reads = 0
        self.away = False
        self.draw = 0.5
        #: set to hold a read back until it is set again
        self.gate = asyncio.Event()
        self.gate.set()

    async def function(self, account: str, region: str, name: str) -> Function | None:
        self.reads += 1
        record = self.record
        await self.gate.wait()
        return Function(record, {"live": Alias("live", "1", "r", weights={"2": 0.25})}) if record else None

    async def get(self, account: str, region: str, name: str, version: str) -> FunctionRecord | None:
        self.reads += 1
        latest = a_record()
        return replace(latest, version=replace(latest.version, version=version)) if version in "12" else None

    async def epoch(self) -> int:
        if self.away:
            raise Unavailable("away")
        return self.number


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(table: Table, clock: Clock) -> FunctionCache:
    made = FunctionCache(table, monotonic=clock, draw=lambda: table.draw)  # type: ignore[arg-type]
    await made.lease.renew()
    return made


async def test_second_look_asks_nobody(cache: FunctionCache, table: Table) -> None:
    assert await cache.get(*KEY) is await cache.get(*KEY)
    assert table.reads == 1


async def test_lease_that_ran_out_bypasses_the_cache(cache: FunctionCache, table: Table, clock: Clock) -> None:
    await cache.get(*KEY)
    clock.now_s += LEASE_S
    await cache.get(*KEY)
    assert table.reads == 2


async def test_renewal_without_a_change_keeps_entries(cache: FunctionCache, table: Table, clock: Clock) -> None:
    await cache.get(*KEY)
    clock.now_s += LEASE_S / 2
    await cache.lease.renew()
    clock.now_s += LEASE_S * 0.7
    await cache.get(*KEY)
    assert table.reads == 1


async def test_raised_epoch_drops_everything(cache: FunctionCache, table: Table) -> None:
    await cache.get(*KEY)
    table.number += 1
    await cache.lease.renew()
    await cache.get(*KEY)
    assert table.reads == 2


async def test_failed_renewal_extends_nothing(cache: FunctionCache, table: Table, clock: Clock) -> None:
    await cache.get(*KEY)
    table.away = True
    with pytest.raises(Unavailable):
        await cache.lease.renew()
    clock.now_s += LEASE_S
    await cache.get(*KEY)
    assert table.reads == 2


async def test_announced_change_drops_its_entry_only(cache: FunctionCache, table: Table) -> None:
    await cache.get(*KEY)
    cache.drop("000000000000", "us-east-1", "other")
    await cache.get(*KEY)
    cache.drop(*KEY)
    await cache.get(*KEY)
    assert table.reads == 2


async def test_read_that_began_before_a_change_is_not_kept(cache: FunctionCache, table: Table) -> None:
    table.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        old = tasks.create_task(cache.get(*KEY))
        await asyncio.sleep(0)
        table.record = a_record(description="new")
        cache.drop(*KEY)
        table.gate.set()
    assert old.result() is not None

    found = await cache.get(*KEY)

    assert found is not None
    assert found.description == "new"


async def test_unsettled_function_is_read_each_time(cache: FunctionCache, table: Table) -> None:
    table.record = a_record(state="Pending", unsettled_since_ms=1)
    await cache.get(*KEY)
    await cache.get(*KEY)
    assert table.reads == 2


async def test_unknown_function_is_asked_for_each_time(cache: FunctionCache, table: Table) -> None:
    table.record = None
    assert await cache.get(*KEY) is None
    assert await cache.get(*KEY) is None
    assert table.reads == 2


async def test_versions_and_aliases_are_found_without_asking_again(cache: FunctionCache, table: Table) -> None:
    for qualifier, number in (("1", "1"), ("live", "1"), ("$LATEST", "$LATEST"), ("1", "1"), ("live", "1")):
        found = await cache.get(*KEY, qualifier)
        assert found is not None
        assert found.number == number
    assert table.reads == 2


async def test_weighted_alias_is_drawn_anew_for_each_request(cache: FunctionCache, table: Table) -> None:
    numbers = []
    for table.draw in (0.0, 0.24, 0.25, 0.99):
        found = await cache.get(*KEY, "live")
        numbers.append(found.number if found else None)
    assert numbers == ["2", "2", "1", "1"]


async def test_unknown_version_or_alias_is_none(cache: FunctionCache) -> None:
    assert await cache.get(*KEY, "7") is None
    assert await cache.get(*KEY, "dead") is None
