"""A function's response stream held open beyond the call that began it: until the HTTP answer is out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Self

from gateway.lambda_api.invoke import failure
from hearth.clock import Deadline
from hearth.invoker import Invoker, ResponseStream
from hearth.model.invocation import Invocation, InvocationResult, Outcome


class OpenedStream:
    """A response stream that has begun or ended, open until `aclose`. Iterate it once; then `result` tells its end."""

    def __init__(self, stream: ResponseStream, first: bytes | None, rest: AsyncIterator[bytes], content_type: str):
        self.content_type = content_type
        self._stream = stream
        self._first = first
        self._rest = rest
        self._open = contextlib.AsyncExitStack()

    @classmethod
    async def open(cls, invoker: Invoker, invocation: Invocation, deadline: Deadline) -> Self:
        """Waits for the first piece. Raises what says that the function did not run, and InvocationTimedOut."""
        async with contextlib.AsyncExitStack() as stack:
            stream = await stack.enter_async_context(invoker.stream(invocation, deadline=deadline))
            content_type, pieces = await stream.started(), aiter(stream)
            first = await anext(pieces, None)
            if first is None and stream.result.outcome not in (Outcome.OK, Outcome.FUNCTION_ERROR):
                raise failure(stream.result)
            opened = cls(stream, first, pieces, content_type)
            opened._open = stack.pop_all()
            return opened
        raise AssertionError("an exit stack that swallows nothing")

    @property
    def result(self) -> InvocationResult:
        return self._stream.result

    @property
    def failed_at_once(self) -> bool:
        """The function failed before it wrote anything: the answer can still say so."""
        return self._first is None and self.result.outcome is not Outcome.OK

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises InvocationTimedOut."""
        if self._first is not None:
            yield self._first
            async for piece in self._rest:
                yield piece

    async def aclose(self) -> None:
        await self._open.aclose()
