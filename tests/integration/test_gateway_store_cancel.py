"""A timeout around calls to a store always fires: redis-py's own write loses cancellations on Python 3.11."""

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
