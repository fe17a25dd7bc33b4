"""Rates over several gateways: what one lets through, the others count too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from gateway.rate_limits import BURST_S, Buckets
from gateway.shared_rates import SharedRates
from hearth.store import Store
from tests.support.servers import PrivateServers

RATE = 10


class Gateway:
    """As much of one as counts requests; its clock stands still unless a test moves it."""

    def __init__(self, coordination: Store) -> None:
        self.now_s = 0.0
        self.buckets = Buckets(lambda: self.now_s)
        self.shared = SharedRates(self.buckets, coordination, monotonic=lambda: self.now_s)

    def let_through(self, whose: str, asked: int) -> int:
        return sum(self.buckets.take(whose, RATE) for _ in range(asked))


@pytest.fixture
async def coordination(servers: PrivateServers) -> AsyncIterator[Store]:
    store = Store("coordination", servers.coordination_url)
    yield store
    await store.close()


@pytest.fixture
async def both(coordination: Store) -> tuple[Gateway, Gateway]:
    return Gateway(coordination), Gateway(coordination)


async def test_gateways_together_let_no_more_through_than_the_rate(both: tuple[Gateway, Gateway]) -> None:
    whose, passed = str(uuid4()), 0
    for tenth in range(600):  # a minute of far too many requests, an exchange each half second
        for one in both:
            one.now_s = tenth / 10
            passed += one.let_through(whose, 10)
            if tenth % 5 == 0:
                await one.shared.exchange()
    # what a full bucket holds, once for each gateway, and what comes in after
    assert RATE * 60 <= passed <= RATE * (60 + 2 * BURST_S)


async def test_what_was_taken_long_ago_is_forgotten(both: tuple[Gateway, Gateway]) -> None:
    one, other = both
    whose = str(uuid4())
    for gateway in both:
        gateway.let_through(whose, 1)
        await gateway.shared.exchange()
    one.let_through(whose, 90)
    await one.shared.exchange()
    other.now_s = BURST_S + 1
    assert other.let_through(whose, 1) == 1
    await other.shared.exchange()
    assert other.let_through(whose, 200) == RATE * BURST_S - 1
