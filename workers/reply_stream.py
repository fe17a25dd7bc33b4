"""The worker's end of a streamed response: pieces go out as the runtime posts them, within the caller's credit.

A caller that takes slowly slows the runtime down: without credit its connection is not read. So does the limit of
AWS's bandwidth. A caller that has left lets it run on unheard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hearth.broker import envelope
from workers.stream_rate import StreamRate

if TYPE_CHECKING:
    from workers.delivery import Delivery

REPLY_TO = "amq.rabbitmq.reply-to"


class ReplyStream:
    """Implements runtime_api.Sink for one delivery, whose lane takes credits (see `Lane.open_stream`)."""

    def __init__(self, delivery: Delivery, name: str, per_second: int = 0) -> None:
        """per_second: bytes after the first ones; 0: no limit."""
        self.on_room: Callable[[], None] | None = None
        self._delivery = delivery
        self.name = name
        self._credit = envelope.STREAM_WINDOW_BYTES
        self._first = True
        self._unheard = False
        self._rate = StreamRate(per_second, time.monotonic())
        #: its time has not come
        self._held: asyncio.TimerHandle | None = None

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
        wait_s = self._rate.take(len(data), time.monotonic())
        if wait_s:
            self._hold(wait_s)
        return self._has_room

    def credited(self, body: bytes) -> None:
        """The caller has taken so many bytes (decimal), or (empty) takes no more."""
        if not body:
            self._unheard = True
        else:
            self._credit += int(body)
        self._tell_room()

    def close(self) -> None:
        if self._held is not None:
            self._held.cancel()

    @property
    def _has_room(self) -> bool:
        return self._unheard or (self._credit > 0 and self._held is None)

    def _hold(self, wait_s: float) -> None:
        self.close()
        self._held = asyncio.get_running_loop().call_later(wait_s, self._released)

    def _released(self) -> None:
        self._held = None
        self._tell_room()

    def _tell_room(self) -> None:
        if self._has_room and self.on_room is not None:
            room, self.on_room = self.on_room, None
            room()
