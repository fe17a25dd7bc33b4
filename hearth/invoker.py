"""The one way in: gateway, event dispatcher, pollers and orchestrator all invoke through this seam."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from hearth.clock import Deadline
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult
from hearth.settings import Settings

#: what the way there and back may take beyond the waits that have limits of their own
TRANSIT_S = 5.0


def budget_s(settings: Settings, version: FunctionVersion) -> float:
    """How long an invocation may take in all: the wait for room, Init, the handler, and the way."""
    return settings.placement_wait_seconds + settings.init_seconds + version.timeout_s + TRANSIT_S


class ResponseStream(Protocol):
    """A response as it comes. Iterate to its end; then `result` says how it ended."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The response's pieces, of any size. Raises InvocationTimedOut at the deadline."""
        ...

    async def started(self) -> str:
        """The response's Content-Type, as soon as its first piece, or its end, is there."""
        ...

    @property
    def result(self) -> InvocationResult:
        """After the last piece. OK: payload is empty. FUNCTION_ERROR, in the middle of the stream or before it:
        payload is the error document, which is none of the pieces."""
        ...


class Invoker(Protocol):
    """Runs one function version and reports how it ended."""

    async def invoke(self, invocation: Invocation, *, deadline: Deadline) -> InvocationResult:
        """Publish, await the reply or the deadline.

        deadline bounds queueing, Init and the handler together. A handler that raised is a result
        (FUNCTION_ERROR), and so is everything else that a worker or the broker answered; nothing is retried here.

        Raises:
            InvocationTimedOut: the deadline passed without an answer; the handler may have run.
            Unavailable: the broker is not reachable; nothing was published.
        """
        ...

    def stream(self, invocation: Invocation, *, deadline: Deadline) -> AbstractAsyncContextManager[ResponseStream]:
        """Like `invoke`, but the response comes in pieces while the function runs; `invocation.streaming` is set here.

        A function that does not stream gives one piece. Leaving the context early lets the function run on unheard.
        """
        ...
