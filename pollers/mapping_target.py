"""Running a mapping's function: the version in force is looked up for every batch, and what happened comes as a result.

Nothing is retried here. A chain of invocations that a queue has closed to a loop is stopped, as on AWS. Reserved
concurrency of 0 counts as throttled: the mapping waits until it is raised.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from hearth.clock import Deadline
from hearth.errors import HearthError, InvocationTimedOut
from hearth.invoker import Invoker, budget_s
from hearth.lineage import MAX_PASSES, pass_through, stops
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, InvocationType, Outcome
from hearth.settings import Settings
from hearth.store import keys
from hearth.store.concurrency import concurrency_of
from hearth.store.functions import Beside, FunctionTable

#: how long a function's record is believed that was read together with the records to run it on
BELIEVED_S = 0.01
NO_FUNCTION = "There is no such function or qualifier."
RECURSION = "The chain of invocations came through the function too often; it was stopped."


@dataclass(frozen=True, slots=True)
class Runnable:
    """What a batch runs on. refusal: why it can't run now; None: it can."""

    version: FunctionVersion
    invoked_arn: str
    refusal: InvocationResult | None = None
    stops_recursion: bool = True


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
        self._seen: Mapping[bytes, bytes] | None = None
        self._seen_s = 0.0

    @property
    def key(self) -> str:
        """Of the function's hash."""
        return keys.function(*self._place)

    def saw(self, fields: Mapping[bytes, bytes]) -> None:
        """The function's hash as it was after the records had come that run next: spares `find` its round trip."""
        self._seen, self._seen_s = fields, time.monotonic()

    async def find(self) -> Runnable | None:
        """None: there is no such function or qualifier. Raises Unavailable."""
        seen = self._seen if time.monotonic() - self._seen_s < BELIEVED_S else None
        found = await self._functions.resolve(*self._place, self._qualifier or None, random.random(), seen)
        if found is None:
            return None
        function, record = found
        arn = record.version.arn + (f":{self._qualifier}" if self._qualifier else "")
        refusal = None
        if record.state != "Active":
            refusal = InvocationResult(Outcome.UNAVAILABLE, detail="The function is not active.")
        elif concurrency_of(function).reserved == 0:
            refusal = InvocationResult(Outcome.THROTTLED, detail="ReservedFunctionConcurrentInvocationLimitExceeded")
        return Runnable(record.version, arn, refusal, stops(function.beside_of(Beside.RECURSION)))

    async def run_now(self, payload: bytes, trace_id: str = "") -> InvocationResult:
        """`find` and `run`; NO_FUNCTION is the detail of an UNAVAILABLE result. Raises nothing but cancellation."""
        try:
            runnable = await self.find()
        except HearthError as exc:
            return InvocationResult(Outcome.UNAVAILABLE, detail=exc.message)
        if runnable is None:
            return InvocationResult(Outcome.UNAVAILABLE, detail=NO_FUNCTION)
        return await self.run(runnable, payload, new_request_id(), trace_id)

    async def run(self, runnable: Runnable, payload: bytes, request_id: str, trace_id: str = "") -> InvocationResult:
        """Raises nothing but cancellation: what went wrong on the way is an outcome, too.

        trace_id: X-Ray header that the records brought; empty: none.
        """
        if runnable.refusal is not None:
            return runnable.refusal
        if trace_id:
            trace_id, passes = pass_through(trace_id, runnable.version.arn)
            if runnable.stops_recursion and passes > MAX_PASSES:
                return InvocationResult(Outcome.FUNCTION_ERROR, detail=RECURSION)
        deadline = Deadline.after(budget_s(self._settings, runnable.version))
        invocation = Invocation(
            request_id=request_id,
            version_key=runnable.version.key,
            invoked_arn=runnable.invoked_arn,
            family=runnable.version.family,
            payload=payload,
            gives_up_at_ms=deadline.epoch_ms(),
            invocation_type=InvocationType.REQUEST_RESPONSE,
            trace_id=trace_id,
        )
        try:
            return await self._invoker.invoke(invocation, deadline=deadline)
        except InvocationTimedOut as exc:
            return InvocationResult(Outcome.LOST, detail=exc.message)
        except HearthError as exc:
            return InvocationResult(Outcome.UNAVAILABLE, detail=exc.message)


def new_request_id() -> str:
    return str(uuid.uuid4())
