"""Running a mapping's function: the version in force is looked up for every batch, and what happened comes as a result.

Nothing is retried here. Reserved concurrency of 0 counts as throttled: the mapping waits until it is raised.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass

from hearth.clock import Deadline
from hearth.errors import HearthError, InvocationTimedOut
from hearth.invoker import Invoker, budget_s
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, InvocationType, Outcome
from hearth.settings import Settings
from hearth.store.concurrency import concurrency_of
from hearth.store.functions import FunctionTable

NO_FUNCTION = "There is no such function or qualifier."


@dataclass(frozen=True, slots=True)
class Runnable:
    """What a batch runs on. refusal: why it can't run now; None: it can."""

    version: FunctionVersion
    invoked_arn: str
    refusal: InvocationResult | None = None


class MappingTarget:
    """The function that a mapping names."""

    def __init__(
        self,
        settings: Settings,
        functions: FunctionTable,
        invoker: Invoker,
        place: tuple[str, str, str],
        qualifier: str,
    ) -> None:
        """place: account, region, name. qualifier: version or alias, empty for $LATEST."""
        self._settings = settings
        self._functions = functions
        self._invoker = invoker
        self._place = place
        self._qualifier = qualifier

    async def find(self) -> Runnable | None:
        """None: there is no such function or qualifier. Raises Unavailable."""
        found = await self._functions.resolve(*self._place, self._qualifier or None, random.random())
        if found is None:
            return None
        function, record = found
        arn = record.version.arn + (f":{self._qualifier}" if self._qualifier else "")
        refusal = None
        if record.state != "Active":
            refusal = InvocationResult(Outcome.UNAVAILABLE, detail="The function is not active.")
        elif concurrency_of(function).reserved == 0:
            refusal = InvocationResult(Outcome.THROTTLED, detail="ReservedFunctionConcurrentInvocationLimitExceeded")
        return Runnable(record.version, arn, refusal)

    async def run(self, runnable: Runnable, payload: bytes, request_id: str) -> InvocationResult:
        """Raises nothing but cancellation: what went wrong on the way is an outcome, too."""
        if runnable.refusal is not None:
            return runnable.refusal
        deadline = Deadline.after(budget_s(self._settings, runnable.version))
        invocation = Invocation(
            request_id=request_id,
            version_key=runnable.version.key,
            invoked_arn=runnable.invoked_arn,
            family=runnable.version.family,
            payload=payload,
            gives_up_at_ms=deadline.epoch_ms(),
            invocation_type=InvocationType.REQUEST_RESPONSE,
        )
        try:
            return await self._invoker.invoke(invocation, deadline=deadline)
        except InvocationTimedOut as exc:
            return InvocationResult(Outcome.LOST, detail=exc.message)
        except HearthError as exc:
            return InvocationResult(Outcome.UNAVAILABLE, detail=exc.message)


def new_request_id() -> str:
    return str(uuid.uuid4())
