"""Checkpoints of a stream that is made anew, and what is read together with entries: on a real server."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.model.stream import FIRST
from hearth.settings import Settings
from hearth.store import Stores
from hearth.store.arrivals import arrivals
from hearth.store.checkpoints import FINISHED, CheckpointRefused, CheckpointTable
from hearth.store.mappings import Duplicate, MappingTable
from pollers.streams.source import SourceShard
from pollers.streams.units import units_of
from tests.support.servers import PrivateServers


@pytest.fixture
async def stores(servers: PrivateServers, tmp_path: Path) -> AsyncIterator[Stores]:
    opened = Stores.connect(
        Settings(data=tmp_path, state_url=servers.state_url, coordination_url=servers.coordination_url)
    )
    yield opened
    await opened.close()


@pytest.fixture
async def mapping(stores: Stores) -> AsyncIterator[EventSourceMapping]:
    """Stored, and disabled: no poller of the session runs anything of it."""
    table, name = MappingTable(stores.state, stores.coordination), uuid.uuid4().hex
    new = EventSourceMapping(
        uuid=str(uuid.uuid4()),
        account="000000000000",
        region="us-east-1",
        kind=SourceKind.KINESIS,
        source_arn=f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}",
        function=name,
        qualifier="",
        created_at_ms=0,
        modified_at_ms=0,
        starting_position="LATEST",
    )
    new = dataclasses.replace(new, state=new.state.DISABLED)
    stored = await table.write(new)
    assert stored is not None
    assert not isinstance(stored, Duplicate)
    yield stored
    await table.delete(stored)


@dataclasses.dataclass
class Made:
    """A stream as `units_of` sees it: one shard, whose latest position is 7."""

    at: str

    async def incarnation(self) -> str:
        return self.at

    async def shards(self) -> list[SourceShard]:
        return [SourceShard("shard")]

    async def start(self, shard_id: str, kind: str, at_ms: int = 0) -> str:
        return "7" if kind == "LATEST" else "0"


async def test_a_stream_that_was_made_anew_is_read_whole_and_its_former_readers_write_nothing(
    stores: Stores, mapping: EventSourceMapping
) -> None:
    checkpoints, table = CheckpointTable(stores.state), MappingTable(stores.state, stores.coordination)
    first, second = Made("1700000000001"), Made("1700000000002")
    assert await units_of(mapping, first, checkpoints) == ["shard"]  # type: ignore[arg-type]
    token = await table.next_token(mapping, "shard")
    assert token is not None
    begun = await checkpoints.load(mapping, "shard")
    assert begun is not None
    assert (begun.position, begun.is_of(first.at), begun.is_of(second.at)) == ("7", True, False)
    await checkpoints.commit(mapping, "shard", token, {"position": FINISHED})
    assert await units_of(mapping, first, checkpoints) == []  # type: ignore[arg-type]

    assert await units_of(mapping, second, checkpoints) == ["shard"]  # type: ignore[arg-type]
    with pytest.raises(CheckpointRefused):
        await checkpoints.commit(mapping, "shard", token, {"position": FINISHED})
    anew = await checkpoints.load(mapping, "shard")
    assert anew is not None
    assert (anew.position, anew.is_of(second.at)) == ("0", True)
    token = await table.next_token(mapping, "shard")
    assert token is not None
    await checkpoints.commit(mapping, "shard", token, {"position": "9"})
    assert await units_of(mapping, second, checkpoints) == ["shard"]  # type: ignore[arg-type]
    assert (await checkpoints.load(mapping, "shard") or anew).position == "9"


async def test_what_is_read_beside_entries_is_as_it_was_when_they_had_come(stores: Stores) -> None:
    log, beside = f"t-log-{uuid.uuid4().hex}", f"t-hash-{uuid.uuid4().hex}"
    redis = stores.state.redis
    await redis.hset(beside, "is", "old")

    async def wait() -> object:
        while True:
            entries, fields = await arrivals(stores.state, log, FIRST, 10, 1.0, beside)
            if entries:
                return [one for _, one in entries], fields

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0.05)  # it waits by now, as a rule; the answer is the same if it does not
    await redis.hset(beside, "is", "new")
    await redis.xadd(log, {"k": "v"})
    assert await asyncio.wait_for(waiting, 60.0) == ([{b"k": b"v"}], {b"is": b"new"})
    assert await arrivals(stores.state, log, FIRST, 10, 1.0) == (await redis.xrange(log), None)
    await redis.unlink(log, beside)
