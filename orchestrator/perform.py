"""Orders of Standard executions carried out: each yields the signals that the execution is to hear.

A call that no second one may follow is claimed before it is made. One that an earlier holder of the shard may have
made is looked for first.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import orjson

from hearth.model.execution import Execution, Snapshot
from hearth.model.workflow_arn import parse_workflow_arn
from hearth.store import keys
from hearth.store.claims import Claimant
from orchestrator.claims import Claims, Free
from orchestrator.core import signals
from orchestrator.integrations import Integration, TaskCall, TaskError
from orchestrator.integrations.functions import Functions
from orchestrator.orders import Order

log = logging.getLogger(__name__)

LOST = "The process that made this call was lost; the call may have been made."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The execution that an order belongs to."""

    execution: Execution
    snapshot: Snapshot

    def call(self, order: Order) -> TaskCall:
        arn = parse_workflow_arn(self.execution.arn)
        assert arn is not None
        return TaskCall(
            service=order.service,
            action=order.action,
            pattern=order.pattern,
            parameters=orjson.loads(order.parameters) if order.kind == "service" else {},
            role_arn=order.role_arn or self.snapshot.role_arn,
            account=arn.account,
            region=arn.region,
            execution=self.execution,
            snapshot=self.snapshot,
            task_id=order.task_id,
            child_name=order.child_name if order.service == "states" else "",
        )


class Performer:
    """integrations: by service; those in `repeatable` may be called again (starting a named execution)."""

    def __init__(
        self,
        functions: Functions,
        integrations: Mapping[str, Integration],
        fallback: Integration | None,
        claims: Claims | None,
        claimant: Claimant | None,
    ) -> None:
        self._functions = functions
        self._integrations = integrations
        self._fallback = fallback
        self._claims = claims
        self._claimant = claimant

    async def perform(
        self, surroundings: Surroundings, order: Order, *, resumed: bool
    ) -> AsyncIterator[signals.Signal]:
        if order.submitted:
            return  # its end comes from outside
        call = surroundings.call(order)
        try:
            output = await self._output(call, order, resumed=resumed)
        except TaskError as exc:
            yield signals.TaskFailed(order.task_id, exc.error, exc.cause, exc.stage)
            return
        except Exception as exc:  # a bug of ours must not leave the task hanging
            log.exception("task failed", extra={"action": "task_failed", "resource": order.resource})
            yield signals.TaskFailed(order.task_id, "States.Runtime", f"Internal error: {exc!r}")
            return
        if order.waits:
            order.submitted = True
            yield signals.TaskSubmitted(order.task_id, output)
        else:
            yield signals.TaskSucceeded(order.task_id, output)

    async def _output(self, call: TaskCall, order: Order, *, resumed: bool) -> str:
        if order.kind == "lambda":
            return await self._functions.by_arn(call, order.resource, order.parameters, resumed=resumed)
        if order.service == "lambda" and order.action == "invoke":
            return await self._functions.invoke(call, resumed=resumed)
        integration = self._integrations.get(order.service, self._fallback)
        if integration is None:
            raise TaskError("States.Runtime", f"The service {order.service} is not available here.")
        if order.service != "states":
            await self._claim(call, resumed=resumed)
        return await integration.call(call)

    async def _claim(self, call: TaskCall, *, resumed: bool) -> None:
        """Raises TaskError if an earlier holder of the shard has begun the call."""
        if self._claims is None or self._claimant is None:
            return
        name, attempt = f"{call.execution.arn}#{call.task_id}", 1
        if resumed:
            settled = await self._claims.settle(name, attempt)
            if not isinstance(settled, Free):
                raise TaskError("States.TaskFailed", LOST)
            attempt = settled.attempt
        if not await self._claimant.take(keys.claim(name, attempt)):
            raise TaskError("States.TaskFailed", LOST)
