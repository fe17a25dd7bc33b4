"""Sandbox slots: where concurrency can grow, it is counted. Leased, renewed by the worker's heartbeat.

Taken only for a placement (a cold start), so the warm path makes no call. What is provisioned is counted by itself: the
limits on what starts on demand leave it out (`hearth.model.concurrency`). After a loss of `coordination` no slot is
granted until every worker has had one heartbeat's time to report what it runs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from hearth.arn import function_arn
from hearth.clock import now_ms
from hearth.errors import Unavailable
from hearth.model.concurrency import OnDemandLimit
from hearth.model.function import FunctionVersion
from hearth.store import keys
from hearth.store.client import Store

HEARTBEAT_S = 1.0
#: five missed heartbeats: the worker is gone
TTL_MS = 5_000
#: a started mark outlives the longest invocation
STARTED_TTL_MS = 1_200_000
EPOCH_TTL_MS = 86_400_000
#: after a loss of coordination
SETTLE_MS = int(HEARTBEAT_S * 1000)


class Verdict(enum.StrEnum):
    GRANTED = "granted"
    #: another worker has started this request and died: it must not run again
    STARTED = "started"
    #: the account's, or the function's reserved, concurrency is used up
    ACCOUNT = "account"
    FUNCTION = "function"
    #: it has started as many sandboxes as it may in so short a time
    RATE = "rate"
    #: full, but `victim` (worker, sandbox) is idle and can give way
    EVICT = "evict"
    #: coordination was lost a moment ago; ask again
    UNSETTLED = "unsettled"


class Provision(enum.StrEnum):
    """What `take_provisioned` says."""

    GRANTED = "granted"
    #: there are as many as are wanted
    ENOUGH = "enough"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class Slot:
    verdict: Verdict
    epoch: int
    victim: tuple[str, str] | None = None


async def take_slot(
    store: Store,
    *,
    worker_id: str,
    sandbox_id: str,
    run_id: str,
    version: FunctionVersion,
    limit: OnDemandLimit,
    reserved: Iterable[str],
    starts_per_10s: int,
) -> Slot:
    """Take a slot for a new sandbox on behalf of a placed request; asking twice for one sandbox takes one slot.

    limit: the function's own, or the one that it shares. reserved: names of the account's functions that have a part
    of their own. Raises Unavailable when coordination does not answer; nothing is known to be taken then.
    """
    account, region = version.account, version.region
    elsewhere = (
        () if limit.reserved else [keys.function_slots(function_arn(region, account, name)) for name in reserved]
    )
    reply = await store.run(
        "take_slot",
        keys=[
            keys.account_slots(account, region),
            keys.function_slots(version.arn),
            keys.started(run_id),
            keys.idle(account, region),
            keys.epoch(version.key),
            keys.BORN,
            keys.scaling(version.arn),
            *elsewhere,
        ],
        args=[
            worker_id,
            sandbox_id,
            TTL_MS,
            limit.sandboxes,
            int(limit.reserved),
            version.arn,
            STARTED_TTL_MS,
            SETTLE_MS,
            starts_per_10s,
        ],
    )
    host, _, victim = reply[2].decode().partition("|")
    return Slot(Verdict(reply[0].decode()), int(reply[1]), (host, victim) if victim else None)


async def release_slot(store: Store, version: FunctionVersion, sandbox_id: str) -> None:
    """A sandbox on demand has ended. Raises Unavailable; the slot expires by itself then."""
    account = keys.account_slots(version.account, version.region)
    await _remove(store, sandbox_id, account, keys.function_slots(version.arn))


async def shed_slot(store: Store, version: FunctionVersion, sandbox_id: str, limit: int) -> bool:
    """Give an idle sandbox's slot up if its function has more than `limit`; then it must end. Raises Unavailable."""
    names = [keys.function_slots(version.arn), keys.account_slots(version.account, version.region)]
    return bool(await store.run("shed_slot", keys=names, args=[sandbox_id, limit]))


async def shed_provisioned(store: Store, version: FunctionVersion, sandbox_id: str, wanted: int) -> bool:
    """The same for a provisioned sandbox, whether or not it is idle. Raises Unavailable."""
    names = [keys.provisioned(version.key), keys.provisioned_ready(version.key)]
    return bool(await store.run("shed_slot", keys=names, args=[sandbox_id, wanted]))


async def take_provisioned(store: Store, version: FunctionVersion, sandbox_id: str, wanted: int) -> Provision:
    """A slot among the version's provisioned sandboxes. Raises Unavailable."""
    names = [keys.provisioned(version.key), keys.BORN]
    reply = await store.run("take_provisioned", keys=names, args=[sandbox_id, TTL_MS, wanted, SETTLE_MS])
    return Provision(reply.decode())


async def provisioned_ready(store: Store, version: FunctionVersion, sandbox_id: str) -> None:
    """It is initialised; the heartbeat keeps it on the list. Raises Unavailable."""
    try:
        await store.redis.zadd(keys.provisioned_ready(version.key), {sandbox_id: now_ms() + TTL_MS})
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def release_provisioned(store: Store, version: FunctionVersion, sandbox_id: str) -> None:
    """Raises Unavailable; the slot expires by itself then."""
    await _remove(store, sandbox_id, keys.provisioned(version.key), keys.provisioned_ready(version.key))


async def count_provisioned(store: Store, version_key: str) -> tuple[int, int]:
    """(starting or ready, ready) of a version's provisioned sandboxes. Raises Unavailable."""
    redis: Any = store.redis  # its stubs mix the synchronous and the asynchronous answers
    pipe = redis.pipeline(transaction=False)
    for key in (keys.provisioned(version_key), keys.provisioned_ready(version_key)):
        pipe.zcount(key, f"({now_ms()}", "+inf")
    try:
        taken, ready = await pipe.execute()
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc
    return int(taken), int(ready)


async def _remove(store: Store, sandbox_id: str, *names: str) -> None:
    pipe = store.redis.pipeline(transaction=False)
    for name in names:
        pipe.zrem(name, sandbox_id)
    try:
        await pipe.execute()
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def forget_start(store: Store, run_id: str) -> None:
    """The request was not started after all; another worker may have it."""
    try:
        await store.redis.delete(keys.started(run_id))
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def mark_started(store: Store, worker_id: str, run_ids: Iterable[str]) -> None:
    """This worker holds these requests, or has run them: a second copy must not run elsewhere."""
    pipe = store.redis.pipeline(transaction=False)
    for run_id in run_ids:
        pipe.set(keys.started(run_id), worker_id, nx=True, px=STARTED_TTL_MS)
    try:
        await pipe.execute()
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def claim_start(store: Store, worker_id: str, run_id: str) -> tuple[str, bool]:
    """Mark the request as this worker's unless it is another's: (whose it is, whether that worker lives)."""
    try:
        raw: Any = await store.redis.set(keys.started(run_id), worker_id, nx=True, get=True, px=STARTED_TTL_MS)
        owner = worker_id if raw is None else raw.decode()
        if owner == worker_id:
            return owner, True
        expiry_ms = await store.redis.zscore(keys.WORKERS, owner)
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc
    return owner, expiry_ms is not None and expiry_ms > now_ms()


async def raise_epoch(store: Store, version_key: str, seen: int) -> int:
    """The queue of epoch `seen` can't be declared (its node is down): agree on the next one."""
    return int(await store.run("raise_epoch", keys=[keys.epoch(version_key)], args=[seen, EPOCH_TTL_MS]))


async def current_epoch(store: Store, version_key: str) -> int:
    """The epoch of the version's queue that is in force."""
    try:
        return int(await store.redis.get(keys.epoch(version_key)) or 0)
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc
