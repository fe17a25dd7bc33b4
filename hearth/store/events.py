"""Asynchronous invocations in `state`: dropped ones with their reasons, and which queues hold others.

The events themselves are in the broker. Every function raises Unavailable when `state` does not answer.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.errors import HearthError, Unavailable
from hearth.model.event import DropReason, Event
from hearth.store import keys
from hearth.store.client import Store

#: invocation records kept of one function; at 64 KB of payload each way, 32 MB at most
KEPT_RECORDS = 256
KEPT_UNREADABLE = 100


class LeaseLost(HearthError):
    """Another poller has taken the partition over; nothing was written."""


async def raise_partitions(state: Store, wanted: int) -> int:
    """How many partitions must be consumed: `wanted`, or more if events were ever spread over more."""
    return int(await state.run("event_partitions", keys=[keys.EVENT_PARTITIONS], args=[wanted]))


async def partitions(state: Store) -> int:
    """How many partitions events are spread over; 0 before the first gateway or poller has started."""
    return int(await state.get(keys.EVENT_PARTITIONS) or 0)


async def drop(state: Store, event: Event, reason: DropReason, record: bytes) -> None:
    """Keep the record and count it; durable when this returns. Twice, if it is called twice."""
    await state.run(
        "event_drop",
        keys=[keys.events_dropped(event.arn), keys.EVENTS_DROPPED],
        args=[record, KEPT_RECORDS, f"{event.arn}|{reason}"],
    )


async def keep_unreadable(state: Store, headers: str, body: bytes) -> None:
    """A message that isn't an event of ours is kept for a human."""
    fields: dict[Any, Any] = {"headers": headers, "body": body}
    await _call(state, state.redis.xadd(keys.EVENTS_UNREADABLE, fields, maxlen=KEPT_UNREADABLE))


async def dropped_counts(state: Store) -> dict[tuple[str, str], int]:
    """(function's ARN, reason) -> how many events, since the beginning."""
    counts = await _call(state, state.redis.hgetall(keys.EVENTS_DROPPED))
    return {_arn_and_reason(name.decode()): int(count) for name, count in counts.items()}


async def dropped_records(state: Store, arn: str, limit: int) -> list[dict[str, Any]]:
    """The function's latest invocation records, newest first."""
    entries = await _call(state, state.redis.xrevrange(keys.events_dropped(arn), count=limit))
    return [orjson.loads(fields[b"record"]) for _, fields in entries]


async def note_aside(state: Store, partition: int, token: int, arn: str, *, exists: bool) -> None:
    """The function's queue aside is about to exist, or is gone. Raises LeaseLost."""
    await _note(state, keys.events_aside(partition), partition, token, arn, exists=exists)


async def note_delay(state: Store, partition: int, token: int, delay_s: float) -> None:
    """The queue of that delay is about to exist. Raises LeaseLost."""
    await _note(state, keys.event_delays(partition), partition, token, f"{delay_s:g}", exists=True)


async def asides(state: Store, partition: int) -> list[str]:
    """ARNs of the functions that may have a queue aside."""
    return sorted(await _members(state, keys.events_aside(partition)))


async def delays(state: Store, partition: int) -> list[float]:
    """Delays that may have a queue, in seconds."""
    return sorted(float(delay) for delay in await _members(state, keys.event_delays(partition)))


async def _note(state: Store, key: str, partition: int, token: int, member: str, *, exists: bool) -> None:
    noted = await state.run("event_note", keys=[keys.event_fence(partition), key], args=[token, member, int(exists)])
    if not noted:
        raise LeaseLost(f"partition {partition} has another holder")


async def _members(state: Store, key: str) -> list[str]:
    return [member.decode() for member in await _call(state, state.redis.smembers(key))]


def _arn_and_reason(name: str) -> tuple[str, str]:
    arn, _, reason = name.rpartition("|")
    return arn, reason


async def _call(state: Store, command: Awaitable[Any]) -> Any:
    try:
        return await command
    except RedisError as exc:
        raise Unavailable(f"{state.name} did not answer: {exc}") from exc
