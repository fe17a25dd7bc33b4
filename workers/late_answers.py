"""Answers that the broker may not have passed on, kept until it can be told once more.

With several broker nodes the node of our connection may die while the callers, connected to others, go on waiting:
for what finished meanwhile, and for what we had just sent to it. Both are sent over the next connection. A caller
that had its answer already ignores a second one.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from pika.exceptions import AMQPError

from hearth.broker.connection import Channel
from hearth.clock import now_ms
from hearth.model.invocation import InvocationResult

if TYPE_CHECKING:
    from workers.delivery import Delivery

#: longer than a broker takes to read what it was sent
KEPT_S = 2.0
#: a result's own overhead, so that small ones are bounded too
OVERHEAD_BYTES = 2_000
KEPT_BYTES = 16 * 2**20


class LateAnswers:
    """One per worker. `kept`: what was sent in the last moments of a connection, oldest first."""

    def __init__(self) -> None:
        self._late: list[tuple[Delivery, InvocationResult]] = []
        self._kept: deque[tuple[float, Delivery, InvocationResult]] = deque()
        self._kept_bytes = 0
        self._channel: Channel | None = None

    def sent(self, delivery: Delivery, result: InvocationResult) -> None:
        """It was handed to the connection: keep it for a moment."""
        now_s = time.monotonic()
        self._kept.append((now_s, delivery, result))
        self._kept_bytes += len(result.payload) + OVERHEAD_BYTES
        while self._kept and (self._kept[0][0] < now_s - KEPT_S or self._kept_bytes > KEPT_BYTES):
            self._kept_bytes -= len(self._kept.popleft()[2].payload) + OVERHEAD_BYTES

    def late(self, delivery: Delivery, result: InvocationResult) -> None:
        """The request's own channel is gone: send it over another, now or as soon as there is one."""
        if self._channel is not None and self._channel.is_open:
            delivery.answer_late(self._channel, result)
        elif delivery.invocation.gives_up_at_ms > now_ms():
            self._late.append((delivery, result))

    def lost(self) -> None:
        """The connection is gone. What was sent before its last moments has arrived."""
        since_s = time.monotonic() - KEPT_S
        self._late += [(delivery, result) for sent_s, delivery, result in self._kept if sent_s > since_s]
        self._kept.clear()
        self._kept_bytes = 0
        self._channel = None

    def open(self, channel: Channel) -> None:
        """There is a connection again: send what waits for it."""
        self._channel = channel
        late, self._late = self._late, []
        for delivery, result in late:
            try:
                delivery.answer_late(channel, result)
            except AMQPError:
                self._late.append((delivery, result))
