"""Leases on partitions, shards and queues: held in `coordination`, their fencing tokens counted in `state`.

A holder that was replaced without noticing is told apart by its token, which is compared inside the very script that
writes to `state`. A loss of `coordination` frees every lease; whoever takes one again gets a higher token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from hearth.clock import now_ms
from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store

RENEW_S = 1.0
#: five missed renewals: the holder is gone
TTL_MS = 5_000


async def heartbeat(coordination: Store, owner: str, group: str = keys.POLLERS, *, ttl_ms: int = TTL_MS) -> list[str]:
    """Say that this poller (or member of another group) lives; returns all that do, in a fixed order.

    Raises Unavailable.
    """
    now = now_ms()
    pipe = coordination.redis.pipeline(transaction=False)
    pipe.zadd(group, {owner: now + ttl_ms})
    pipe.zremrangebyscore(group, "-inf", now)
    pipe.zrange(group, 0, -1)
    try:
        members = (await pipe.execute())[-1]
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc
    return sorted(member.decode() for member in members)


async def leave(coordination: Store, owner: str, group: str = keys.POLLERS) -> None:
    """Who ends takes itself off the list. Raises Unavailable."""
    try:
        await coordination.redis.zrem(group, owner)
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def living(coordination: Store, group: str = keys.POLLERS) -> int:
    """How many heartbeats of the group are current. Raises Unavailable."""
    try:
        return int(await coordination.redis.zcount(group, now_ms(), "+inf"))
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def members(coordination: Store, group: str = keys.POLLERS) -> list[str]:
    """Ids of the group's members whose heartbeats are current. Raises Unavailable."""
    redis: Any = coordination.redis  # its stubs mix the synchronous and the asynchronous answers
    try:
        found = await redis.zrangebyscore(group, now_ms(), "+inf")
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc
    return [one.decode() for one in found]


async def take(coordination: Store, owner: str, leases: Sequence[str], *, ttl_ms: int = TTL_MS) -> list[bool]:
    """Take or renew each lease (a key); False: another holds it. Raises Unavailable."""
    if not leases:
        return []
    return [bool(held) for held in await coordination.run("lease_take", keys=leases, args=[owner, ttl_ms])]


async def any_held(coordination: Store, leases: Sequence[str]) -> bool:
    """Whether anybody holds one of them. Raises Unavailable."""
    if not leases:
        return False
    try:
        return bool(await coordination.redis.exists(*leases))
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def release(coordination: Store, owner: str, lease: str) -> None:
    """Raises Unavailable; the lease expires by itself then."""
    await coordination.run("lease_release", keys=[lease], args=[owner])


async def next_token(state: Store, fence: str) -> int:
    """A lease token higher than every one before; the earlier ones write nothing any more. Raises Unavailable."""
    try:
        return int(await state.redis.incr(fence))
    except RedisError as exc:
        raise Unavailable(f"state did not answer: {exc}") from exc


def share_of(owner: str, living: Sequence[str], count: int) -> set[int]:
    """Which of `count` leases this owner is to hold: every one has one of the living, evenly."""
    ordered = sorted(set(living) | {owner})
    return {number for number in range(count) if ordered[number % len(ordered)] == owner}
