"""A request as the broker delivered it, and the channel that owes its acknowledgement.

Acknowledge first, then reply, on the same channel: the acknowledgement gives the sandbox its credit back before the
caller can send its next request, so a closed loop never meets a busy sandbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from hearth.broker import envelope
from hearth.broker.connection import Channel
from hearth.model.invocation import Invocation, InvocationResult
from workers.late_answers import LateAnswers
from workers.reply_stream import REPLY_TO, ReplyStream

log = logging.getLogger(__name__)


class Lane:
    """A channel and how many of its deliveries are still unanswered. Closed only when none is.

    answers: keeps those that the broker may not have passed on. None: the broker has one node, and with it the
    callers have lost their connections too.
    """

    def __init__(self, channel: Channel, answers: LateAnswers | None = None) -> None:
        self.channel = channel
        self.answers = answers
        self.outstanding = 0
        self._drained: asyncio.Future[None] | None = None
        #: streams on their way, by name; and whether the lane takes their credits
        self._streams: dict[str, ReplyStream] = {}
        self._stream_count = 0
        self._takes_credits = False
        self._starting_credits = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        return self.channel.is_open

    async def open_stream(self, delivery: Delivery, per_second: int = 0) -> ReplyStream:
        """The first one starts a consumer of credits on this channel. per_second: bytes after the first ones, 0 for no
        limit. Raises HearthError."""
        async with self._starting_credits:  # a piece that goes out before would close the channel
            if not self._takes_credits:
                await self.channel.consume(REPLY_TO, self._on_credit, no_ack=True)
                self._takes_credits = True
        self._stream_count += 1
        name = str(self._stream_count)
        stream = self._streams[name] = ReplyStream(delivery, name, per_second)
        return stream

    def close_stream(self, stream: ReplyStream) -> None:
        stream.close()
        self._streams.pop(stream.name, None)

    def _on_credit(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        stream = self._streams.get(properties.correlation_id or "")
        if stream is not None:
            stream.credited(body)

    def settled(self) -> None:
        self.outstanding -= 1
        if self.outstanding == 0 and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def close(self) -> None:
        """Wait until every delivery is settled (they are all being run or handed back), then close."""
        if self.outstanding and self.channel.is_open:
            self._drained = asyncio.get_running_loop().create_future()
            ends: set[asyncio.Future[Any]] = {self._drained, self.channel.closed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await self.channel.close()


@dataclass(slots=True, eq=False)
class Delivery:
    """One message, unacknowledged. It is settled once: answered, or handed back to the broker."""

    lane: Lane
    tag: int
    invocation: Invocation
    reply_to: str | None
    correlation_id: str | None
    redelivered: bool
    #: it came as a placement (no sandbox was idle), not from a version's own queue
    placed: bool
    received_s: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        """False: the connection is gone and the broker has given the message to somebody else."""
        return self.lane.is_open

    @property
    def ours(self) -> bool:
        """Whether it is still ours to run.

        With several broker nodes a request whose connection is gone may have been lost with the queue's node, while
        its caller still waits. Nobody else runs what came warm, so we do.
        """
        return self.lane.is_open or (self.lane.answers is not None and not self.placed)

    def adopt(self, again: Delivery) -> None:
        """The broker has given us the same request once more: it is that delivery that we now owe an answer."""
        self.lane.settled()
        self.lane, self.tag = again.lane, again.tag

    def answer(self, result: InvocationResult) -> None:
        """Acknowledge, then reply. Large bodies go out in parts first, so a crash can't lose an acknowledged one."""
        lane = self.lane
        lane.settled()
        raw = lane.channel.raw
        if not raw.is_open:
            if lane.answers is not None and self.reply_to is not None:
                lane.answers.late(self, result)
            return
        body = result.payload
        if self.reply_to is None:
            raw.basic_ack(self.tag)
            return
        if len(body) > envelope.PART_BYTES:
            body = self._publish_parts(lane.channel, body)
        raw.basic_ack(self.tag)
        raw.basic_publish("", self.reply_to, body, envelope.result_properties(result, self.correlation_id))
        if lane.answers is not None:
            lane.answers.sent(self, result)

    def reply(self, result: InvocationResult) -> None:
        """The caller's answer now, the acknowledgement later (`drop`): the sandbox is not free yet.

        A worker that dies in between answers nobody twice: the redelivered message is refused, its caller gone.
        """
        lane, raw = self.lane, self.lane.channel.raw
        if self.reply_to is None:
            return
        if not raw.is_open:
            if lane.answers is not None:
                lane.answers.late(self, result)
            return
        body = result.payload
        if len(body) > envelope.PART_BYTES:
            body = self._publish_parts(lane.channel, body)
        raw.basic_publish("", self.reply_to, body, envelope.result_properties(result, self.correlation_id))
        if lane.answers is not None:
            lane.answers.sent(self, result)

    def answer_late(self, channel: Channel, result: InvocationResult) -> None:
        """Reply on another channel: there is nothing to acknowledge any more."""
        assert self.reply_to is not None
        body = self._publish_parts(channel, result.payload)
        channel.raw.basic_publish("", self.reply_to, body, envelope.result_properties(result, self.correlation_id))

    def _publish_parts(self, channel: Channel, body: bytes) -> bytes:
        """Publish all but the last part; returns that."""
        assert self.reply_to is not None
        properties = envelope.part_properties(self.correlation_id)
        last = max(0, len(body) - 1) // envelope.PART_BYTES * envelope.PART_BYTES
        for start in range(0, last, envelope.PART_BYTES):
            part = body[start : start + envelope.PART_BYTES]
            channel.raw.basic_publish("", self.reply_to, part, properties)
        return body[last:]

    def drop(self) -> None:
        """Acknowledge and say nothing: its caller has given up, or has its answer already."""
        self.lane.settled()
        if self.lane.is_open:
            self.lane.channel.raw.basic_ack(self.tag)


def received(lane: Lane, method: Any, properties: Any, body: bytes, *, placed: bool) -> Delivery | None:
    """What the broker has brought over this lane; None: nobody can read it, and it is acknowledged."""
    lane.outstanding += 1
    try:
        invocation = envelope.read_invocation(properties, body)
    except (KeyError, ValueError, TypeError):
        log.exception("unreadable message dropped", extra={"action": "message_unreadable"})
        lane.settled()
        lane.channel.raw.basic_ack(method.delivery_tag)
        return None
    return Delivery(
        lane,
        method.delivery_tag,
        invocation,
        properties.reply_to,
        properties.correlation_id,
        method.redelivered,
        placed,
    )
