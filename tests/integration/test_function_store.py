"""Functions in the store: versions, aliases and the records beside them, on a real server."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hearth.clock import now_ms
from hearth.model.function import Alias, FunctionVersion
from hearth.settings import Settings
from hearth.store import Stores, keys
from hearth.store.functions import Beside, Function, FunctionRecord, FunctionTable, Put
from tests.support.servers import PrivateServers

ACCOUNT, REGION = "000000000000", "us-east-1"


@pytest.fixture
async def stores(servers: PrivateServers, tmp_path: Path) -> AsyncIterator[Stores]:
    opened = Stores.connect(
        Settings(data=tmp_path, state_url=servers.state_url, coordination_url=servers.coordination_url)
    )
    yield opened
    await opened.close()


@pytest.fixture
def table(stores: Stores) -> FunctionTable:
    return FunctionTable(stores.state)


def a_record(name: str = "", number: str = "$LATEST") -> FunctionRecord:
    version = FunctionVersion(
        key=uuid.uuid4().hex,
        account=ACCOUNT,
        region=REGION,
        name=name or f"t-{uuid.uuid4().hex[:12]}",
        version=number,
        runtime="python3.11",
        handler="app.handler",
        role="arn:aws:iam::000000000000:role/r",
        code_sha256="00" * 32,
    )
    return FunctionRecord(version, uuid.uuid4().hex, "Active", "Successful", now_ms(), 0, 10)


async def read(table: FunctionTable, record: FunctionRecord) -> Function:
    function = await table.function(ACCOUNT, REGION, record.version.name)
    assert function is not None
    return function


async def with_version(table: FunctionTable) -> tuple[FunctionRecord, FunctionRecord]:
    """A stored function and its version 1."""
    record = a_record()
    published = a_record(record.version.name, "1")
    assert await table.create(record, published)
    return record, published


async def test_number_is_given_once_whoever_publishes(table: FunctionTable) -> None:
    record, published = await with_version(table)
    new = dataclasses.replace(record, revision_id=uuid.uuid4().hex)

    assert not await table.publish(record, new, a_record(record.version.name, "1"))
    assert not await table.publish(record, new, a_record(record.version.name, "3"))
    assert await table.publish(record, new, a_record(record.version.name, "2"))
    assert not await table.publish(record, new, a_record(record.version.name, "3"))  # by an old revision
    assert await table.numbers(ACCOUNT, REGION, record.version.name) == [1, 2]
    assert await table.get(ACCOUNT, REGION, record.version.name, "1") == published


async def test_record_beside_is_written_only_by_who_has_read_it(table: FunctionTable) -> None:
    record, _ = await with_version(table)
    before = await read(table, record)
    assert await table.put_beside(before, Beside.POLICY, "", b"one") is Put.DONE
    assert await table.put_beside(before, Beside.POLICY, "", b"two") is Put.CHANGED
    after = await read(table, record)

    assert after.beside_of(Beside.POLICY) == b"one"
    assert await table.put_beside(after, Beside.POLICY, "", None) is Put.DONE
    assert await table.put_beside(after, Beside.POLICY, "nobody", b"x") is Put.NO_QUALIFIER
    assert await table.put_beside(after, Beside.POLICY, "7", b"x") is Put.NO_QUALIFIER
    assert (await read(table, record)).all_beside(Beside.POLICY) == {}


async def test_records_go_with_the_version_or_alias_that_they_are_beside(table: FunctionTable) -> None:
    record, published = await with_version(table)
    await table.put_alias(await read(table, record), "live", Alias("live", "$LATEST", "r", weights={"1": 0.5}))
    for qualifier in ("", "1", "live"):
        function = await read(table, record)
        assert await table.put_beside(function, Beside.EVENT_INVOKE, qualifier, b"x") is Put.DONE

    assert await table.delete_version(published) == ["live"]
    assert await table.put_alias(await read(table, record), "live", None) is Put.DONE
    assert list((await read(table, record)).all_beside(Beside.EVENT_INVOKE)) == ["", "1"]
    assert await table.delete_version(published) == []
    assert list((await read(table, record)).all_beside(Beside.EVENT_INVOKE)) == [""]
    assert await table.get(ACCOUNT, REGION, record.version.name, "1") is None


async def test_alias_needs_the_versions_that_it_leads_to(table: FunctionTable) -> None:
    record, _ = await with_version(table)
    function = await read(table, record)

    assert await table.put_alias(function, "live", Alias("live", "2", "r")) is Put.NO_QUALIFIER
    assert await table.put_alias(function, "live", Alias("live", "1", "r")) is Put.DONE
    assert await table.put_alias(function, "live", Alias("live", "1", "s")) is Put.CHANGED
    found = await table.resolve(ACCOUNT, REGION, record.version.name, "live", 0.5)
    assert found is not None
    assert found[1].number == "1"


async def test_deleted_function_takes_everything_along_but_what_is_on_its_way(
    table: FunctionTable, stores: Stores
) -> None:
    record, published = await with_version(table)
    assert await table.put_beside(await read(table, record), Beside.URL, "1", b"x") is Put.DONE
    retired = await table.delete(record)
    name, redis = record.version.name, stores.state.redis

    assert retired == [record.version.key, published.version.key]
    assert await table.function(ACCOUNT, REGION, name) is None
    assert await redis.exists(keys.function_versions(ACCOUNT, REGION, name)) == 0
    for key in retired:
        assert 0 < await redis.ttl(keys.version(key)) <= 3600
    assert await table.last_number(ACCOUNT, REGION, name) == 1
    assert not await table.create(a_record(name), a_record(name, "1"))
    assert await table.create(a_record(name), a_record(name, "2"))
