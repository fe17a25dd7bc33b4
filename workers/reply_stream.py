"""The worker's end of a streamed response: pieces go out as the runtime posts them, within the caller's credit.

A caller that takes slowly slows the runtime down: without credit its connection is not read. A caller that has left
lets it run on unheard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hearth.broker import envelope

if TYPE_CHECKING:
    from workers.delivery import Delivery

REPLY_TO = "amq.rabbitmq.reply-to"


class ReplyStream:
    """Implements runtime_api.Sink for one delivery, whose lane takes credits (see `Lane.open_stream`)."""

    def __init__(self, delivery: Delivery, name: str) -> None:
        self.on_room: Callable[[], None] | None = None
        self._delivery = delivery
        self.name = name
        self._credit = envelope.STREAM_WINDOW_BYTES
        self._first = True
        self._unheard = False

    def write(self, data: bytes, content_type: str) -> bool:
        raw = self._delivery.lane.channel.raw
        if self._unheard or self._delivery.reply_to is None or not raw.is_open:
            return True
        for start in range(0, len(data), envelope.PART_BYTES):
            properties = envelope.stream_properties(
                self._delivery.correlation_id,
                content_type,
                name=self.name if self._first else None,
                credits_to=REPLY_TO if self._first else None,
            )
            self._first = False
            raw.basic_publish("", self._delivery.reply_to, data[start : start + envelope.PART_BYTES], properties)
        self._credit -= len(data)
        return self._credit > 0

    def credited(self, body: bytes) -> None:
        """The caller has taken so many bytes (decimal), or (empty) takes no more."""
        if not body:
            self._unheard = True
        else:
            self._credit += int(body)
        if (self._unheard or self._credit > 0) and self.on_room is not None:
            room, self.on_room = self.on_room, None
            room()
