"""Events as messages: their form, the confirmed publishing of them, and the consuming.

The body is the caller's payload; everything else is in properties and headers. Every message is persistent, every
publish confirmed and mandatory, and any number of them are in flight on the one channel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pika import BasicProperties
from pika.channel import Channel as PikaChannel

from hearth.broker import events
from hearth.broker.connection import Broker, Channel, PublishRefused, Unconfirmed
from hearth.errors import TooManyRequests, Unavailable
from hearth.model.event import Delivery as Sending
from hearth.model.event import DeliveryKind, Event, Failure, partition_of

log = logging.getLogger(__name__)

_PERSISTENT = 2


def event_properties(event: Event) -> BasicProperties:
    headers: dict[str, Any] = {
        "account": event.account,
        "region": event.region,
        "name": event.name,
        "accepted": event.accepted_at_ms,
    }
    optional = {
        "qualifier": event.qualifier,
        "trace": event.trace_id,
        "runs": event.runs,
        "setbacks": event.setbacks,
        "attempts": event.attempts,
        "due": event.due_at_ms,
    }
    headers.update({name: value for name, value in optional.items() if value})
    if event.failure is not None:
        headers["failed-version"] = event.failure.executed_version
        headers["failed-payload"] = event.failure.payload
    if event.delivery is not None:
        sending = event.delivery
        headers["deliver"] = [
            sending.kind.value,
            sending.target,
            sending.condition,
            sending.error_code,
            sending.error_message,
            sending.folder,
        ]
    return BasicProperties(
        content_type=event.content_type,
        headers=headers,
        delivery_mode=_PERSISTENT,
        message_id=event.request_id,
        type="Event",
    )


def read_event(properties: BasicProperties, body: bytes) -> Event:
    """Raises KeyError or ValueError for a message that isn't ours."""
    headers = properties.headers or {}
    get = headers.get
    if not properties.message_id:
        raise ValueError("an event without request id")
    failure = None
    if "failed-version" in headers:
        failure = Failure(headers["failed-version"], headers["failed-payload"])
    return Event(
        request_id=properties.message_id,
        account=headers["account"],
        region=headers["region"],
        name=headers["name"],
        payload=body,
        accepted_at_ms=headers["accepted"],
        qualifier=get("qualifier", ""),
        trace_id=get("trace", ""),
        content_type=properties.content_type or "application/json",
        runs=get("runs", 0),
        setbacks=get("setbacks", 0),
        attempts=get("attempts", 0),
        failure=failure,
        due_at_ms=get("due", 0),
        delivery=_read_sending(headers["deliver"]) if "deliver" in headers else None,
    )


def _read_sending(header: list[Any]) -> Sending:
    kind, *others = header
    return Sending(DeliveryKind(kind), *others)


class EventPublisher:
    """Puts events where they wait: accepted, delayed, aside. Every method returns when the broker has stored it.

    Raises Unavailable when the broker is away or does not confirm (it may have stored it), PublishRefused, which is an
    Unavailable, when the queue is full.
    """

    def __init__(self, broker: Broker, *, partitions: int, max_bytes: int) -> None:
        self._broker = broker
        self._partitions = partitions
        self._max_bytes = max_bytes
        self._channel: Channel | None = None

    async def start(self) -> None:
        await self._broker.when_up(self._open)

    async def _open(self) -> Channel:
        await events.declare_events(self._broker, self._partitions, self._max_bytes)
        channel = await self._broker.channel()
        await channel.confirm_publishes()
        self._channel = channel
        return channel

    async def accept(self, event: Event) -> None:
        """A new event. Raises TooManyRequests when its partition is full: nothing was stored."""
        partition = partition_of(event.arn, self._partitions)
        try:
            await self.hand_on(event, partition)
        except PublishRefused as exc:
            raise TooManyRequests("CallerRateLimitExceeded") from exc

    async def hand_on(self, event: Event, partition: int) -> None:
        """To whoever holds the partition; an event that is not due yet waits there."""
        await self._publish(events.EVENTS, str(partition), event)

    async def put(self, event: Event, queue: str) -> None:
        """Into one of the partition's further queues, which must exist."""
        await self._publish("", queue, event)

    async def _publish(self, exchange: str, routing_key: str, event: Event) -> None:
        channel = self._channel
        if channel is None or not channel.is_open:
            raise Unavailable("no connection to the broker")
        try:
            await channel.publish_confirmed(exchange, routing_key, event.payload, event_properties(event))
        except Unconfirmed:
            # A quorum queue takes a channel's publishes in order. One that got lost while the queue's leader was away
            # holds up all that follow on the channel, so it must go; the broker's connection opens another.
            await channel.close()
            raise


@dataclass(frozen=True, slots=True)
class Delivery:
    """A consumed event; until it is acknowledged the broker keeps it. `event` None: it could not be read."""

    channel: PikaChannel
    tag: int
    event: Event | None
    properties: BasicProperties
    body: bytes

    @property
    def alive(self) -> bool:
        """Whether it is still ours; after the loss of its channel the broker gives it to somebody again."""
        return bool(self.channel.is_open)

    def acknowledge(self) -> None:
        if self.alive:
            self.channel.basic_ack(self.tag)

    def give_back(self) -> None:
        if self.alive:
            self.channel.basic_nack(self.tag, requeue=True)


async def consume_events(channel: Channel, queue: str, on_delivery: Callable[[Delivery], None]) -> str:
    """Start a consumer; returns its tag."""

    def delivered(raw: PikaChannel, method: Any, properties: BasicProperties, body: bytes) -> None:
        try:
            event = read_event(properties, body)
        except (KeyError, ValueError, TypeError):
            log.exception("unreadable event", extra={"action": "event_unreadable", "queue": queue})
            event = None
        on_delivery(Delivery(raw, method.delivery_tag, event, properties, body))

    return await channel.consume(queue, delivered)
