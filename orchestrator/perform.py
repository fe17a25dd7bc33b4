"""Orders of Standard executions carried out: each ends with the signal that the execution is to hear.

A call that no second one may follow is claimed before it is made. One that an earlier holder of the shard may have
made is looked for first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from hearth.model.execution import Execution, Snapshot
from hearth.model.workflow_arn import parse_workflow_arn
from hearth.store import keys
from hearth.store.claims import Claimant
from orchestrator.claims import Claims, Free
from orchestrator.core import signals
from orchestrator.integrations import Integration, TaskCall, TaskError
from orchestrator.integrations.functions import Functions
from orchestrator.integrations.jobs import JOBS, Jobs
from orchestrator.map_io import MapFiles
from orchestrator.orders import AWS_SDK, FUNCTION, MAP_RUN, SERVICE, Order

log = logging.getLogger(__name__)

LOST = "The process that made this call was lost; the call may have been made."


def account_of_role(role_arn: str) -> str:
    """Empty if there is no role, or no account in its ARN."""
    parts = role_arn.split(":")
    return parts[4] if len(parts) > 5 else ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The execution that an order belongs to."""

    execution: Execution
    snapshot: Snapshot
    #: see TaskCall
    inspection: dict[str, Any] | None = None

    def call(self, order: Order) -> TaskCall:
        arn = parse_workflow_arn(self.execution.arn)
        assert arn is not None
        return TaskCall(
            service=f"aws-sdk:{order.service}" if order.kind == AWS_SDK else order.service,
            action=order.action,
            pattern=order.pattern,
            parameters=orjson.loads(order.parameters) if order.kind in (SERVICE, AWS_SDK) else {},
            role_arn=order.role_arn or self.snapshot.role_arn,
            # what is done as another account's role is done in that account
            account=account_of_role(order.role_arn) or arn.account,
            region=arn.region,
            execution=self.execution,
            snapshot=self.snapshot,
            task_id=order.task_id,
            inspection=self.inspection,
            child_name=order.child_name if order.kind == SERVICE and order.service == "states" else "",
        )


class Performer:
    """integrations: by service, those of the AWS SDK under AWS_SDK.

    claims None: nothing is claimed (Express). map_files, jobs: of Standard executions.
    """

    def __init__(
        self,
        functions: Functions,
        integrations: Mapping[str, Integration],
        claims: Claims | None,
        claimant: Claimant | None,
        map_files: MapFiles | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        self._map_files = map_files
        self._jobs = jobs
        self._functions = functions
        self._integrations = integrations
        self._claims = claims
        self._claimant = claimant

    async def perform(self, surroundings: Surroundings, order: Order, *, resumed: bool) -> signals.Signal:
        call = surroundings.call(order)
        if order.kind == MAP_RUN:
            assert self._map_files is not None, "Express executions have no map runs"
            role = surroundings.snapshot.role_arn
            return await self._map_files.perform(order, account=call.account, region=call.region, role=role)
        begun = order.is_job and order.submitted
        try:
            if begun:
                assert self._jobs is not None, "Express executions wait for no jobs"
                output = await self._jobs.end(call, order.more["started"])
            else:
                output = await self._output(call, order, resumed=resumed)
        except TaskError as exc:
            return signals.TaskFailed(order.task_id, exc.error, exc.cause, exc.stage)
        except Exception as exc:  # a bug of ours must not leave the task hanging
            log.exception("task failed", extra={"action": "task_failed", "resource": order.resource})
            return signals.TaskFailed(order.task_id, "States.Runtime", f"Internal error: {exc!r}")
        if order.waits and not begun:
            return signals.TaskSubmitted(order.task_id, output)
        return signals.TaskSucceeded(order.task_id, output)

    async def stop_job(self, surroundings: Surroundings, order: Order) -> None:
        """Of a task that has ended otherwise."""
        if self._jobs is not None:
            await self._jobs.stop(surroundings.call(order), order.more["started"])

    async def _output(self, call: TaskCall, order: Order, *, resumed: bool) -> str:
        if order.kind == FUNCTION:
            return await self._functions.by_arn(call, order.resource, order.parameters, resumed=resumed)
        if order.kind == SERVICE and order.service == "lambda":
            return await self._functions.invoke(call, resumed=resumed)
        integration = self._integrations.get(order.service if order.kind == SERVICE else AWS_SDK)
        if integration is None and (not order.is_job or (order.service, order.action) in JOBS):
            integration = self._integrations.get(AWS_SDK)  # services without a form of their own here
        if integration is None:
            task = f"{order.service}:{order.action}"
            raise TaskError(
                "States.Runtime",
                f"{task}.{order.pattern} is not available here: start the job with aws-sdk:{task} and look for its end."
                if order.is_job
                else f"The service {order.service} is not available here.",
            )
        if order.kind == SERVICE and order.service == "states":
            return await integration.call(call)  # finds what it has started before
        claim = await self._claim(call, resumed=resumed)
        try:
            return await integration.call(call)
        finally:
            if claim and self._claimant is not None:
                self._claimant.release(claim)

    async def _claim(self, call: TaskCall, *, resumed: bool) -> str:
        """The claim; empty where nothing is claimed. Raises TaskError if an earlier holder has begun the call."""
        if self._claims is None or self._claimant is None:
            return ""
        name, attempt = f"{call.execution.arn}#{call.task_id}", 1
        if resumed:
            settled = await self._claims.settle(name, attempt)
            if not isinstance(settled, Free):
                raise TaskError("States.TaskFailed", LOST)
            attempt = settled.attempt
        claim = keys.claim(name, attempt)
        if not await self._claimant.take_surely(claim):
            raise TaskError("States.TaskFailed", LOST)
        return claim
