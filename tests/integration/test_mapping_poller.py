"""How pollers share the units of mappings: on real stores, with a runner of these tests that notes what runs where.

The stores' second databases are used, which no platform of the session looks at.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hearth.aws_clients import AwsClients
from hearth.clock import now_ms
from hearth.errors import Unavailable
from hearth.model.mapping import QUEUE, EventSourceMapping, MappingState, SourceKind, Unit
from hearth.settings import Settings
from hearth.store import Store, Stores, keys
from hearth.store.mappings import Duplicate, MappingTable
from pollers.mappings import MappingPoller
from pollers.runners import Lease
from pollers.source_access import SourceAccess
from tests.support.servers import PrivateServers

#: far beyond what a busy machine stands still, since some tests count who had a lease
LEASE_S = 3.0
SOURCE = "arn:aws:kinesis:us-east-1:000000000000:stream/s"


@pytest.fixture
async def stores(servers: PrivateServers) -> AsyncIterator[Stores]:
    opened = Stores(Store("state", f"{servers.state_url}/1"), Store("coordination", f"{servers.coordination_url}/1"))
    for store in (opened.state, opened.coordination):
        await store.redis.flushdb()
    yield opened
    await opened.close()


@pytest.fixture
def table(stores: Stores) -> MappingTable:
    return MappingTable(stores.state, stores.coordination)


@dataclasses.dataclass
class Noting:
    """A runner that runs until it is told to stop, and notes what runs."""

    names: list[str]
    running: dict[str, Unit] = dataclasses.field(default_factory=dict)
    tokens: list[int] = dataclasses.field(default_factory=list)
    prepared: int = 0
    #: what a unit waits for when it is to stop
    hold: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    failures: int = 0
    kinds = frozenset({SourceKind.KINESIS})
    look_again_s = 0.2

    async def prepare(self, mapping: EventSourceMapping) -> None:
        self.prepared += 1

    async def units(self, mapping: EventSourceMapping) -> list[str]:
        return self.names

    async def run(self, unit: Unit, lease: Lease) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the source is away")
        assert unit.name not in self.running, "twice in one poller"
        self.running[unit.name] = unit
        self.tokens.append(lease.token)
        try:
            await lease.stopping.wait()
            await self.hold.wait()
        finally:
            del self.running[unit.name]


@contextlib.asynccontextmanager
async def poller(stores: Stores, runner: Noting, name: str) -> AsyncIterator[MappingPoller]:
    settings = Settings(mapping_lease_seconds=LEASE_S, drain_seconds=20.0)
    aws = AwsClients(settings, b"secret")
    stopping = asyncio.Event()
    one = MappingPoller(settings, stores, name, [runner], SourceAccess(settings, stores, aws))
    async with contextlib.AsyncExitStack() as left, asyncio.TaskGroup() as tasks:
        left.callback(aws.close)
        life = tasks.create_task(one.run(stopping))
        try:
            yield one
        finally:
            runner.hold.set()
            stopping.set()
            await life


def runner_of(*names: str) -> Noting:
    made = Noting(list(names))
    made.hold.set()
    return made


def a_mapping(**given: Any) -> EventSourceMapping:
    now = now_ms()
    return EventSourceMapping(
        **{
            "uuid": "00000000-0000-0000-0000-000000000001",
            "account": "000000000000",
            "region": "us-east-1",
            "kind": SourceKind.KINESIS,
            "source_arn": SOURCE,
            "function": "f",
            "qualifier": "",
            "created_at_ms": now,
            "modified_at_ms": now,
            **given,
        }
    )


async def eventually(what: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while True:
            if what():
                return
            await asyncio.sleep(0.02)


async def reaches(table: MappingTable, mapping: EventSourceMapping, state: MappingState | None) -> EventSourceMapping:
    """None: gone."""
    async with asyncio.timeout(60):
        while True:
            found = await table.get(mapping.account, mapping.region, mapping.uuid)
            if (found.state if found else None) is state:
                return found or mapping
            await asyncio.sleep(0.02)


async def write(table: MappingTable, new: EventSourceMapping, read: EventSourceMapping | None = None) -> None:
    stored = await table.write(new, read=read)
    assert isinstance(stored, EventSourceMapping)


async def test_units_are_shared_and_taken_over_from_a_poller_that_leaves(stores: Stores, table: MappingTable) -> None:
    names = [f"shard-{number}" for number in range(6)]
    first, second = runner_of(*names), runner_of(*names)
    await write(table, a_mapping())
    async with poller(stores, first, "a"):
        await eventually(lambda: len(first.running) == 6)
        async with poller(stores, second, "b"):
            await eventually(lambda: len(first.running) == len(second.running) == 3)
            assert not set(first.running) & set(second.running)
            assert set(first.running) | set(second.running) == set(names)
        await eventually(lambda: len(first.running) == 6)
    # each new holder of a unit has a higher token
    fences = await stores.state.redis.hgetall(keys.mapping_fences("000000000000", "us-east-1", a_mapping().uuid))
    assert sorted(int(token) for token in fences.values()) == [1, 1, 1, 3, 3, 3]


async def test_change_is_done_when_nothing_of_the_mapping_as_it_was_runs(stores: Stores, table: MappingTable) -> None:
    one = runner_of("shard-0")
    await write(table, a_mapping())
    async with poller(stores, one, "a") as running:
        enabled = await reaches(table, a_mapping(), MappingState.ENABLED)
        assert one.prepared == 1
        await eventually(lambda: one.running)
        one.hold.clear()
        await write(table, dataclasses.replace(enabled, batch_size=7, state=MappingState.UPDATING), enabled)
        running.wake()
        await asyncio.sleep(1.2 * LEASE_S)  # beyond the lease, which is renewed while the unit stops
        updating = await table.get(enabled.account, enabled.region, enabled.uuid)
        assert updating is not None
        assert updating.state is MappingState.UPDATING
        one.hold.set()
        await reaches(table, enabled, MappingState.ENABLED)
        await eventually(lambda: one.running and one.running["shard-0"].mapping.batch_size == 7)
        assert one.tokens == [1, 2]


async def test_disabled_mapping_runs_nothing_and_a_deleted_one_leaves_nothing(
    stores: Stores, table: MappingTable
) -> None:
    one = runner_of("shard-0")
    await write(table, a_mapping(enabled=False))
    async with poller(stores, one, "a") as running:
        disabled = await reaches(table, a_mapping(), MappingState.DISABLED)
        assert not one.prepared
        assert not one.tokens
        await write(table, dataclasses.replace(disabled, enabled=True, state=MappingState.ENABLING), disabled)
        running.wake()
        enabled = await reaches(table, disabled, MappingState.ENABLED)
        await eventually(lambda: one.running)
        await write(table, dataclasses.replace(enabled, state=MappingState.DELETING), enabled)
        await reaches(table, enabled, None)
        assert not one.running
    names = {name.decode() for name in await stores.state.redis.keys()}
    assert names == {keys.MAPPINGS_EPOCH}


async def test_unit_that_fails_is_told_of_and_tried_again(stores: Stores, table: MappingTable) -> None:
    one = runner_of(QUEUE)
    one.failures = 1
    await write(table, a_mapping())
    async with poller(stores, one, "a"):
        await eventually(lambda: one.running)
        assert await table.results([a_mapping()]) == ["PROBLEM: the source is away"]
        assert (await table.progress(a_mapping()))[QUEUE].error == "the source is away"


async def test_lost_lease_ends_the_unit_at_once(stores: Stores, table: MappingTable) -> None:
    one = runner_of("shard-0")
    one.hold.clear()  # it would not stop by itself
    await write(table, a_mapping())
    async with poller(stores, one, "a"):
        await eventually(lambda: one.running)
        await stores.coordination.redis.set(keys.mapping_lease(a_mapping().uuid, "shard-0"), "another", px=2_000)
        await eventually(lambda: not one.running)
        await eventually(lambda: one.running)
        assert one.tokens == [1, 2]


async def test_mapping_is_replaced_only_by_who_has_read_it_and_a_pair_is_joined_once(table: MappingTable) -> None:
    first = await table.write(a_mapping())
    assert isinstance(first, EventSourceMapping)
    second = await table.write(dataclasses.replace(first, batch_size=2), read=first)
    assert isinstance(second, EventSourceMapping)
    assert await table.write(dataclasses.replace(first, batch_size=3), read=first) is None
    assert await table.next_token(first, "shard-0") is None
    other = a_mapping(uuid="00000000-0000-0000-0000-000000000002")
    assert await table.write(other) == Duplicate(first.uuid)
    assert isinstance(await table.write(dataclasses.replace(other, qualifier="live")), EventSourceMapping)
    # moved to another function, it leaves its pair to others
    moved = await table.write(dataclasses.replace(second, function="g"), read=second)
    assert isinstance(moved, EventSourceMapping)
    assert await table.find("000000000000", "us-east-1", function="f") == [other.uuid]
    assert isinstance(await table.write(a_mapping(uuid="00000000-0000-0000-0000-000000000003")), EventSourceMapping)
