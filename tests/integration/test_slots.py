"""Who gets a slot for one more sandbox: the scripts on a real Valkey, each test in an account of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable

import pytest

from hearth.clock import now_ms
from hearth.model.concurrency import OnDemandLimit
from hearth.model.function import FunctionVersion
from hearth.store import Store, keys, slots
from hearth.store import workers as register
from hearth.store.slots import Provision, Verdict
from hearth.store.workers import HeldSlot
from tests.support.servers import PrivateServers

_accounts = itertools.count(100_000_000_000)


@pytest.fixture
async def store(servers: PrivateServers) -> AsyncIterator[Store]:
    """Coordination that has known its workers for a while."""
    one = Store("coordination", servers.coordination_url)
    await one.redis.set(keys.BORN, now_ms() - 60_000)
    yield one
    await one.close()


def function(account: int, name: str = "f") -> FunctionVersion:
    return FunctionVersion(f"{account}-{name}", str(account), "r", name, "$LATEST", "python3.11", "h", "role", "sha")


async def take(
    store: Store,
    version: FunctionVersion,
    sandbox: str,
    limit: int,
    *,
    own: bool = False,
    reserved: Iterable[str] = (),
    rate: int = 1000,
) -> slots.Slot:
    return await slots.take_slot(
        store,
        worker_id="w",
        sandbox_id=sandbox,
        run_id=f"{version.key}-{sandbox}",
        version=version,
        limit=OnDemandLimit(limit, reserved=own),
        reserved=reserved,
        starts_per_10s=rate,
    )


async def test_function_without_reservation_shares_what_others_leave(store: Store) -> None:
    account = next(_accounts)
    shared, mine = function(account), function(account, "mine")
    assert (await take(store, mine, "a", 5, own=True)).verdict is Verdict.GRANTED
    assert (await take(store, shared, "b", 1, reserved=["mine"])).verdict is Verdict.GRANTED
    assert (await take(store, shared, "c", 1, reserved=["mine"])).verdict is Verdict.ACCOUNT
    assert (await take(store, function(account, "third"), "d", 1, reserved=["mine"])).verdict is Verdict.ACCOUNT
    await slots.release_slot(store, shared, "b")
    assert (await take(store, shared, "c", 1, reserved=["mine"])).verdict is Verdict.GRANTED


async def test_function_with_reservation_has_its_own_limit(store: Store) -> None:
    version = function(next(_accounts))
    assert (await take(store, version, "a", 1, own=True)).verdict is Verdict.GRANTED
    assert (await take(store, version, "a", 1, own=True)).verdict is Verdict.GRANTED, "asked twice for one sandbox"
    assert (await take(store, version, "b", 1, own=True)).verdict is Verdict.FUNCTION
    assert (await take(store, version, "c", 0, own=True)).verdict is Verdict.FUNCTION


async def test_idle_sandbox_gives_way_in_its_own_pool_only(store: Store) -> None:
    account = next(_accounts)
    shared, mine = function(account), function(account, "mine")
    for version, sandbox, own in ((mine, "m", True), (shared, "s", False)):
        await take(store, version, sandbox, 9, own=own, reserved=["mine"])
    held = [HeldSlot("m", mine, now_ms() - 9000), HeldSlot("s", shared, now_ms() - 1000)]
    await register.heartbeat(store, "w", held, {"busy": 0}, ["python3.11"])
    full = await take(store, function(account, "third"), "t", 1, reserved=["mine"])
    assert (full.verdict, full.victim) == (Verdict.EVICT, ("w", "s")), "not the one that is idle for longer"
    own_full = await take(store, mine, "m2", 1, own=True)
    assert (own_full.verdict, own_full.victim) == (Verdict.EVICT, ("w", "m"))


async def test_function_starts_no_more_sandboxes_at_once_than_its_rate(store: Store) -> None:
    version = function(next(_accounts))
    verdicts = [(await take(store, version, f"s{number}", 100, rate=3)).verdict for number in range(4)]
    assert verdicts == [Verdict.GRANTED] * 3 + [Verdict.RATE]
    assert (await take(store, function(next(_accounts)), "x", 100, rate=3)).verdict is Verdict.GRANTED
    # a third of ten seconds later there is one more
    await store.redis.hincrby(keys.scaling(version.arn), "at", -3400)  # type: ignore[misc]
    verdicts = [(await take(store, version, f"late{number}", 100, rate=3)).verdict for number in range(2)]
    assert verdicts == [Verdict.GRANTED, Verdict.RATE]


async def test_no_more_provisioned_sandboxes_than_wanted_and_they_count_by_themselves(store: Store) -> None:
    version = function(next(_accounts))
    taken = [await slots.take_provisioned(store, version, sandbox, 2) for sandbox in "abc"]
    assert taken == [Provision.GRANTED, Provision.GRANTED, Provision.ENOUGH]
    await slots.provisioned_ready(store, version, "a")
    assert await slots.count_provisioned(store, version.key) == (2, 1)
    assert (await take(store, version, "x", 1)).verdict is Verdict.GRANTED, "what runs on demand is counted by itself"
    assert await slots.shed_provisioned(store, version, "b", 1)
    assert not await slots.shed_provisioned(store, version, "a", 1)
    await slots.release_provisioned(store, version, "a")
    assert await slots.count_provisioned(store, version.key) == (0, 0)


async def test_sandbox_beyond_a_lowered_limit_gives_its_slot_up(store: Store) -> None:
    version = function(next(_accounts))
    for sandbox in "abc":
        await take(store, version, sandbox, 3, own=True)
    shed = [await slots.shed_slot(store, version, sandbox, 2) for sandbox in "abc"]
    assert shed == [True, False, False]


async def test_nothing_is_granted_while_coordination_does_not_know_its_workers(store: Store) -> None:
    version = function(next(_accounts))
    await store.redis.set(keys.BORN, now_ms())
    assert (await take(store, version, "a", 9)).verdict is Verdict.UNSETTLED
    assert await slots.take_provisioned(store, version, "b", 9) is Provision.UNSETTLED
