"""Exchanges and queues of asynchronous invocations.

    gateway -> hearth.events --(<n>)------> events.<n>        accepted events; bounded, full -> refused
    hearth.delay --(header delay)--> delay.<seconds>          bounded; each has one TTL, so nothing waits behind others
    delay.<seconds> --(due.<n>)--> hearth.events -> events.<n>.due      what has waited; unbounded
    (default exchange) -> events.<n>.aside.<function>         a function's events beyond its share; bounded

What has waited returns to a queue that refuses nothing: a dead-lettered message has no publisher who could be told,
it would be gone. That queue is bounded by the delay queues before it. The delay queues are quorum queues on every
broker, with one node too: only those dead-letter at least once; a classic queue can lose, when its node is killed,
what it is just handing on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from typing import Any

from hearth.broker.connection import Broker, Channel, ChannelClosed
from hearth.errors import Unavailable

log = logging.getLogger(__name__)

EVENTS = "hearth.events"
DELAY = "hearth.delay"
DELAY_PREFIX = "delay."

#: in one queue: a small message costs the broker about a kilobyte of memory, whatever its body
MAX_MESSAGES = 100_000


def partition_queue(partition: int) -> str:
    return f"events.{partition}"


def due_queue(partition: int) -> str:
    return f"events.{partition}.due"


def aside_queue(partition: int, arn: str) -> str:
    """One function's. The ARN is hashed: queue names end at 255 bytes."""
    return f"events.{partition}.aside.{hashlib.sha256(arn.encode()).hexdigest()[:24]}"


def delay_queue(delay_s: float) -> str:
    return f"{DELAY_PREFIX}{delay_s:g}"


async def declare_events(broker: Broker, partitions: int, max_bytes: int) -> None:
    """Exchanges and every partition's queues: an event can be accepted before any poller has ever run."""
    channel = await broker.channel()
    await channel.declare_exchange(EVENTS, "direct")
    await channel.declare_exchange(DELAY, "headers")
    for partition in range(partitions):
        await channel.declare_queue(due_queue(partition))
        await channel.bind(due_queue(partition), EVENTS, f"due.{partition}")
        channel = await _declare_bounded(broker, channel, partition_queue(partition), {}, max_bytes)
        await channel.bind(partition_queue(partition), EVENTS, str(partition))
    await channel.close()


async def declare_delay(broker: Broker, delay_s: float, max_bytes: int) -> str:
    queue = delay_queue(delay_s)
    arguments = {
        "x-queue-type": "quorum",
        "x-message-ttl": max(1, round(delay_s * 1000)),
        "x-dead-letter-exchange": EVENTS,
        "x-dead-letter-strategy": "at-least-once",
    }
    channel = await _declare_bounded(broker, await broker.channel(), queue, arguments, max_bytes)
    await channel.bind(queue, DELAY, arguments={"x-match": "all", "delay": queue})
    await channel.close()
    return queue


async def declare_aside(broker: Broker, partition: int, arn: str, max_bytes: int) -> str:
    """No expiry: deletion does not dead-letter, so an unused queue that holds events would lose them."""
    queue = aside_queue(partition, arn)
    channel = await _declare_bounded(broker, await broker.channel(), queue, {}, max_bytes)
    await channel.close()
    return queue


async def delete_if_empty(broker: Broker, queue: str) -> bool:
    """False: there is a message or a consumer in it, and it stays."""
    channel = await broker.channel()
    try:
        await channel.delete_queue(queue, if_empty=True, if_unused=True)
    except ChannelClosed as exc:
        if exc.reply_code != 406:
            raise
        return False
    finally:
        await channel.close()
    return True


async def _declare_bounded(
    broker: Broker, channel: Channel, queue: str, arguments: dict[str, Any], max_bytes: int
) -> Channel:
    """A queue's bounds are those of its first declaration; another setting later must not keep us from using it."""
    bounds = {"x-max-length": MAX_MESSAGES, "x-max-length-bytes": max_bytes, "x-overflow": "reject-publish"}
    try:
        await channel.declare_queue(queue, arguments | bounds)
    except ChannelClosed as exc:
        if exc.reply_code != 406:
            raise
        log.warning("queue keeps the bounds it was made with", extra={"action": "bounds_kept", "queue": queue})
        channel = await broker.channel()
        await channel.queue_length(queue)
    return channel


async def depths(broker: Broker, queues: Iterable[str]) -> dict[str, int]:
    """Queue -> messages ready in it; those that don't exist are left out. Raises Unavailable."""
    found: dict[str, int] = {}
    channel = await broker.channel()
    try:
        for queue in queues:
            try:
                found[queue] = await channel.queue_length(queue)
            except ChannelClosed as exc:
                if exc.reply_code != 404:
                    raise Unavailable(f"the broker did not tell the length of {queue}: {exc}") from exc
                channel = await broker.channel()
    finally:
        await channel.close()
    return found
