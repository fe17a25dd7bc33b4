"""The one way in: gateway, event dispatcher, pollers and orchestrator all invoke through this seam."""

from __future__ import annotations

from typing import Protocol

from hearth.clock import Deadline
from hearth.model.invocation import Invocation, InvocationResult


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
