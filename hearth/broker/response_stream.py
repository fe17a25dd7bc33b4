"""The caller's end of a streamed response: pieces as they come, credits as they are taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import pika

from hearth.broker import envelope
from hearth.model.invocation import InvocationResult, Outcome

#: taken bytes that are worth a message
_CREDIT_BYTES = envelope.STREAM_WINDOW_BYTES // 4


class BrokerResponseStream:
    """Implements hearth.invoker.ResponseStream. grant(address, name, body): send a credit."""

    def __init__(self, ended: asyncio.Future[InvocationResult], grant: Callable[[str, str, bytes], None]) -> None:
        self._ended = ended
        self._grant = grant
        self._pieces: deque[bytes] = deque()
        self._change = asyncio.Event()
        self._content_type: str | None = None
        self._credits_to = self._name = ""
        self._taken = 0
        ended.add_done_callback(lambda _: self._change.set())

    def piece(self, properties: pika.BasicProperties, body: bytes) -> None:
        """One has come."""
        if self._content_type is None:
            self._content_type = properties.content_type or "application/octet-stream"
            self._credits_to, self._name = properties.reply_to or "", properties.message_id or ""
        self._pieces.append(body)
        self._change.set()

    @property
    def begun(self) -> bool:
        """A piece has come: to run the function again would double it."""
        return self._content_type is not None

    async def started(self) -> str:
        while self._content_type is None and not self._ended.done():
            await self._changed()
        return self._content_type if self._content_type is not None else self._ended.result().content_type

    @property
    def result(self) -> InvocationResult:
        return self._ended.result()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                yield piece
                self._credit(len(piece))
            if self._ended.done():
                break
            await self._changed()
        if self._ended.result().outcome is Outcome.OK and self._ended.result().payload:
            yield self._ended.result().payload

    def abandon(self) -> None:
        """Nobody takes any more of it."""
        if self._credits_to and not self._ended.done():
            self._grant(self._credits_to, self._name, b"")

    async def _changed(self) -> None:
        # no deadline of its own: the invoker's timer ends `ended`
        self._change.clear()
        if not self._pieces and not self._ended.done():
            await self._change.wait()

    def _credit(self, size: int) -> None:
        self._taken += size
        if self._taken >= _CREDIT_BYTES and not self._ended.done():
            self._grant(self._credits_to, self._name, b"%d" % self._taken)
            self._taken = 0
