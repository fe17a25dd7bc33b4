"""The control fanout: changes of functions reach every gateway and worker.

A hint for speed, not the truth: a listener that missed one finds out by the epoch in `state` (gateways) or at the
next placement (workers).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson
import pika
from pika.channel import Channel as PikaChannel
from pika.exceptions import AMQPError

from hearth.broker import topology
from hearth.broker.connection import Broker, Channel
from hearth.errors import Unavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed. kind: "function". `retired_keys`: version keys that no new request will use."""

    kind: str
    account: str
    region: str
    name: str
    change_id: str
    retired_keys: tuple[str, ...] = ()


class ControlBus:
    """Publishes changes and hands those of others (and our own) to `on_change`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: Channel | None = None
        self._on_change: Callable[[Change], None] | None = None

    async def start(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        await self._broker.when_up(self._open)

    async def _open(self) -> Channel:
        channel = await self._broker.channel()
        await topology.declare_shared(channel)
        queue = await topology.declare_control(channel)
        await channel.consume(queue, self._on_delivery, no_ack=True, exclusive=True)
        self._channel = channel
        return channel

    async def publish(self, change: Change) -> None:
        """Raises Unavailable when there is no connection."""
        if self._channel is None or not self._channel.is_open:
            raise Unavailable("no connection to the broker")
        try:
            self._channel.raw.basic_publish(topology.CONTROL, "", orjson.dumps(asdict(change)))
        except AMQPError as exc:
            raise Unavailable(f"the change could not be published: {exc!r}") from exc

    def _on_delivery(
        self, _channel: PikaChannel, _method: object, _properties: pika.BasicProperties, body: bytes
    ) -> None:
        assert self._on_change is not None
        try:
            change = Change(**orjson.loads(body))
        except (TypeError, ValueError):
            log.exception("unreadable change ignored", extra={"action": "control_unreadable"})
            return
        self._on_change(change)
