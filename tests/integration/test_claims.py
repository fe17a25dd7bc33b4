"""Claims on tasks: taken once, turned into results, and sent together."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hearth.errors import Unavailable
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store import keys
from hearth.store.claims import Claimant, claimed_by, read_result, result_of
from hearth.store.client import Store
from hearth.store.pipeline import Pipeline
from tests.support.servers import PrivateServers

RESULT = InvocationResult(Outcome.OK, b"1")


@asynccontextmanager
async def connected(servers: PrivateServers) -> AsyncIterator[tuple[Store, Pipeline]]:
    store = Store("state", servers.state_url)
    pipeline = Pipeline(store)
    running = asyncio.create_task(pipeline.run())
    try:
        yield store, pipeline
    finally:
        running.cancel()
        await asyncio.wait({running})
        await store.close()


def a_claim() -> str:
    return keys.claim(f"task-{uuid.uuid4()}", 1)


async def test_claim_is_taken_once(servers: PrivateServers) -> None:
    async with connected(servers) as (store, pipeline):
        first, second = Claimant(pipeline, uuid.uuid4().hex), Claimant(pipeline, uuid.uuid4().hex)
        claim = a_claim()
        assert sorted(await asyncio.gather(first.take(claim), second.take(claim)), key=bool) == [False, True]
        held = await store.get(claim)
        assert held is not None
        claimant = claimed_by(held)
        assert claimant in (first.id, second.id)
        assert await store.get(keys.claimant(claimant)) is not None  # it was heard of before it held a claim


async def test_result_leaves_with_the_next_claim_and_by_itself_if_there_is_none(servers: PrivateServers) -> None:
    async with connected(servers) as (store, pipeline):
        claimant = Claimant(pipeline, uuid.uuid4().hex)
        one, two = a_claim(), a_claim()
        await claimant.take(one)
        await claimant.finish(one, RESULT)  # by itself; and the script is known from now on
        await claimant.take(two)
        trips = pipeline.trips
        finishing = asyncio.create_task(claimant.finish(two, RESULT))
        await asyncio.sleep(0)
        assert await claimant.take(a_claim())
        await finishing
        assert pipeline.trips == trips + 1
        for claim in (one, two):
            held = await store.get(claim)
            assert held is not None
            result = result_of(held)
            assert result is not None
            assert read_result(result) == RESULT


async def test_what_waits_when_the_pipeline_ends_is_told(servers: PrivateServers) -> None:
    async with connected(servers) as (_, pipeline):
        waiting = asyncio.create_task(pipeline.call("PING", within_s=60))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(Unavailable):
        await pipeline.call("PING")
