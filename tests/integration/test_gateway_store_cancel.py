"""Connections to a store: a timeout always fires (redis-py's own write loses cancellations on Python 3.11), and one
that the server has closed is made anew."""

from __future__ import annotations

import asyncio
import time

from hearth.store.client import Store
from tests.support.servers import PrivateServers


async def test_timeout_around_store_calls_is_never_lost(servers: PrivateServers) -> None:
    store = Store("coordination", servers.coordination_url)
    lost = 0

    async def one(budget_s: float) -> None:
        nonlocal lost
        until = time.monotonic() + 30
        try:
            async with asyncio.timeout(budget_s):
                while time.monotonic() < until:
                    await store.redis.get("nothing")
            lost += 1
        except TimeoutError:
            pass

    for round_ in range(5):
        await asyncio.gather(*(one(0.02 + 0.003 * n + 0.0007 * round_) for n in range(20)))
    await store.close()

    assert lost == 0


async def test_connections_that_the_server_has_closed_cost_no_call(servers: PrivateServers) -> None:
    store, other = Store("state", f"{servers.state_url}?client_name=doomed"), Store("state", servers.state_url)

    async def doomed() -> list[str]:
        return [one["id"] for one in await other.redis.client_list() if one["name"] == "doomed"]

    for _ in range(3):
        assert await asyncio.gather(*(store.get("nothing") for _ in range(8))) == [None] * 8
        ids = await doomed()
        assert len(ids) > 1
        for one in ids:
            await other.redis.client_kill_filter(_id=one)
        await asyncio.sleep(0.5)  # the news has come
    assert await asyncio.gather(*(store.get("nothing") for _ in range(8))) == [None] * 8
    await store.close()
    await other.close()
