"""Sandbox slots: where concurrency can grow, it is counted. Leased, renewed by the worker's heartbeat.

Taken only for a placement (a cold start), so the warm path makes no call. After a loss of `coordination` no slot is
granted until every worker has had one heartbeat's time to report what it runs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from hearth.clock import now_ms
from hearth.errors import Unavailable
from hearth.model.function import FunctionVersion
from hearth.store import keys
from hearth.store.client import Store

HEARTBEAT_S = 1.0
#: five missed heartbeats: the worker is gone
TTL_MS = 5_000
#: a started mark outlives the longest invocation
STARTED_TTL_MS = 1_200_000
EPOCH_TTL_MS = 86_400_000


class Verdict(enum.StrEnum):
    GRANTED = "granted"
    #: another worker has started this request and died: it must not run again
    STARTED = "started"
    #: the account's, or the function's reserved, concurrency is used up
    ACCOUNT = "account"
    FUNCTION = "function"
    #: full, but `victim` (worker, sandbox) is idle and can give way
    EVICT = "evict"
    #: coordination was lost a moment ago; ask again
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class Slot:
    verdict: Verdict
    epoch: int
    victim: tuple[str, str] | None = None


def pool_key(version: FunctionVersion) -> str:
    """The zset in which a version's sandboxes are counted."""
    if version.reserved_concurrency is not None:
        return keys.function_slots(version.arn)
    return keys.account_slots(version.account, version.region)


async def take_slot(
    store: Store, *, worker_id: str, sandbox_id: str, run_id: str, version: FunctionVersion, account_limit: int
) -> Slot:
    """Take a slot for a new sandbox on behalf of a placed request; asking twice for one sandbox takes one slot.

    Raises Unavailable when coordination does not answer; nothing is known to be taken then.
    """
    reply = await store.run(
        "take_slot",
        keys=[
            keys.account_slots(version.account, version.region),
            keys.function_slots(version.arn),
            keys.started(run_id),
            keys.idle(version.account, version.region),
            keys.epoch(version.key),
            keys.BORN,
        ],
        args=[
            worker_id,
            sandbox_id,
            TTL_MS,
            account_limit,
            -1 if version.reserved_concurrency is None else version.reserved_concurrency,
            version.arn,
            STARTED_TTL_MS,
            int(HEARTBEAT_S * 1000),
        ],
    )
    host, _, victim = reply[2].decode().partition("|")
    return Slot(Verdict(reply[0].decode()), int(reply[1]), (host, victim) if victim else None)


async def release_slot(store: Store, version: FunctionVersion, sandbox_id: str) -> None:
    try:
        await store.redis.zrem(pool_key(version), sandbox_id)
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc  # it expires by itself


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
