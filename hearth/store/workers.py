"""Who lives: the workers' heartbeats in `coordination`, with the leases they renew and the figures they report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from hearth.clock import now_ms
from hearth.errors import Unavailable
from hearth.model.function import FunctionVersion
from hearth.store import keys
from hearth.store.client import Store
from hearth.store.slots import TTL_MS


@dataclass(frozen=True, slots=True)
class HeldSlot:
    """One sandbox of a worker as its heartbeat reports it. idle_since_ms: epoch ms, 0 while it runs something."""

    sandbox_id: str
    version: FunctionVersion
    idle_since_ms: int
    #: it is kept initialised: in no pool of what runs on demand, and never in another's way
    provisioned: bool = False
    #: its Init is over
    ready: bool = True


class Fleet(NamedTuple):
    """What a heartbeat learns: how many workers live (this one included), and the families installed among them."""

    workers: int
    families: frozenset[str]


async def heartbeat(
    store: Store, worker_id: str, held: Iterable[HeldSlot], figures: dict[str, int | str], families: Iterable[str]
) -> Fleet:
    """Renew the worker's leases, report its figures and the families that it has installed."""
    now = now_ms()
    expiry = now + TTL_MS
    slots: dict[str, dict[str, int]] = {}
    idle: dict[str, dict[str, int]] = {}
    busy: dict[str, list[str]] = {}
    for one in held:
        version = one.version
        if one.provisioned:
            slots.setdefault(keys.provisioned(version.key), {})[one.sandbox_id] = expiry
            if one.ready:
                slots.setdefault(keys.provisioned_ready(version.key), {})[one.sandbox_id] = expiry
            continue
        for name in (keys.account_slots(version.account, version.region), keys.function_slots(version.arn)):
            slots.setdefault(name, {})[one.sandbox_id] = expiry
        member = f"{worker_id}|{one.sandbox_id}|{version.arn}|{version.key}"
        idle_key = keys.idle(version.account, version.region)
        if one.idle_since_ms:
            idle.setdefault(idle_key, {})[member] = one.idle_since_ms
        else:
            busy.setdefault(idle_key, []).append(member)
    pipe = store.redis.pipeline(transaction=False)
    pipe.zadd(keys.WORKERS, {worker_id: expiry})
    pipe.zremrangebyscore(keys.WORKERS, "-inf", now)
    pipe.hset(keys.worker(worker_id), mapping=figures)  # type: ignore[arg-type]
    pipe.pexpire(keys.worker(worker_id), TTL_MS)
    pipe.set(keys.BORN, now, nx=True)
    pipe.zadd(keys.FAMILIES, dict.fromkeys(families, expiry))
    for key, members in [*slots.items(), *idle.items()]:
        pipe.zadd(key, members)
    for key, names in busy.items():
        pipe.zrem(key, *names)
    pipe.zremrangebyscore(keys.FAMILIES, "-inf", now)
    pipe.zrange(keys.FAMILIES, 0, -1)
    pipe.zcard(keys.WORKERS)
    try:
        *_, installed, workers = await pipe.execute()
        return Fleet(int(workers), frozenset(family.decode() for family in installed))
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def leave(store: Store, worker_id: str) -> None:
    """A worker that ends takes itself off the list."""
    try:
        await store.redis.zrem(keys.WORKERS, worker_id)
        await store.redis.delete(keys.worker(worker_id))
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def count(store: Store) -> int:
    """How many workers' heartbeats are current."""
    try:
        return int(await store.redis.zcount(keys.WORKERS, now_ms(), "+inf"))
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def families(store: Store) -> list[str]:
    """Runtime families that a living worker has installed."""
    redis: Any = store.redis  # as in `living`
    try:
        return [raw.decode() for raw in await redis.zrangebyscore(keys.FAMILIES, now_ms(), "+inf")]
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc


async def living(store: Store) -> dict[str, dict[str, str]]:
    """Worker id -> its figures as its last heartbeat gave them, of those whose heartbeat is current."""
    redis: Any = store.redis  # its stubs mix the synchronous and the asynchronous answers
    try:
        members = [raw.decode() for raw in await redis.zrangebyscore(keys.WORKERS, now_ms(), "+inf")]
        pipe = redis.pipeline(transaction=False)
        for member in members:
            pipe.hgetall(keys.worker(member))
        hashes = await pipe.execute() if members else []
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc
    return {
        member: {name.decode(): value.decode() for name, value in figures.items()}
        for member, figures in zip(members, hashes, strict=True)
    }
