"""The exchange and the queues of asynchronous invocations.

    gateway -> hearth.events --(<n>)--> events.<n>     accepted events; full -> refused
    events.<n>.delay.<seconds>      wait for their next attempt; one delay a queue, so nothing waits behind others
    events.<n>.aside.<function>     a function's events beyond its share

Every queue is durable and bounded, refuses when it is full (so the publisher knows and keeps what it has), and never
expires: deletion and dead-lettering can lose messages, a confirmed publish followed by an acknowledgement can't.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

from hearth.broker.connection import Broker, Channel, ChannelClosed
from hearth.broker.topology import durable_arguments
from hearth.errors import Unavailable

log = logging.getLogger(__name__)

EVENTS = "hearth.events"

#: in one queue: a small message costs the broker about a kilobyte of memory, whatever its body
MAX_MESSAGES = 100_000


def partition_queue(partition: int) -> str:
    return f"events.{partition}"


def aside_queue(partition: int, arn: str) -> str:
    """One function's. The ARN is hashed: queue names end at 255 bytes."""
    return f"events.{partition}.aside.{hashlib.sha256(arn.encode()).hexdigest()[:24]}"


def delay_queue(partition: int, delay_s: float) -> str:
    return f"events.{partition}.delay.{delay_s:g}"


async def declare_events(broker: Broker, partitions: int, max_bytes: int) -> None:
    """Exchanges and every partition's queues: an event can be accepted before any poller has ever run."""
    channel = await broker.channel()
    await channel.declare_exchange(EVENTS, "direct")
    for partition in range(partitions):
        channel = await _declare_bounded(broker, channel, partition_queue(partition), max_bytes)
        await channel.bind(partition_queue(partition), EVENTS, str(partition))
    await channel.close()


async def declare_delay(broker: Broker, partition: int, delay_s: float, max_bytes: int) -> str:
    return await _declare(broker, delay_queue(partition, delay_s), max_bytes)


async def declare_aside(broker: Broker, partition: int, arn: str, max_bytes: int) -> str:
    return await _declare(broker, aside_queue(partition, arn), max_bytes)


async def delete_if_empty(channel: Channel, queue: str) -> bool:
    """False: there is a message or a consumer in it, it stays, and the channel is closed.

    channel: the one that has consumed it. What came after its cancellation goes back on that channel, and until then
    the broker counts it as neither ready nor in the way. Not for quorum queues: they know no condition.
    """
    try:
        await channel.delete_queue(queue, if_empty=True, if_unused=True)
    except ChannelClosed as exc:
        if exc.reply_code != 406:
            raise
        return False
    return True


async def _declare(broker: Broker, queue: str, max_bytes: int) -> str:
    channel = await _declare_bounded(broker, await broker.channel(), queue, max_bytes)
    await channel.close()
    return queue


async def _declare_bounded(broker: Broker, channel: Channel, queue: str, max_bytes: int) -> Channel:
    """A queue's bounds are those of its first declaration; another setting later must not keep us from using it."""
    bounds = {"x-max-length": MAX_MESSAGES, "x-max-length-bytes": max_bytes, "x-overflow": "reject-publish"}
    try:
        await channel.declare_queue(queue, durable_arguments(channel, bounds))
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
