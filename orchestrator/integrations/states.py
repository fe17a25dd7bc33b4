"""Nested executions: `states:startExecution`, with `.sync` and `.sync:2` until the child has ended.

A child is named after its task unless it was given a name, so starting it twice starts one. Its end reaches the parent
in the same commit that closes the child. Texts as recorded from AWS.
"""

from __future__ import annotations

import uuid
from email.utils import formatdate
from typing import Any

import orjson

from hearth.errors import HearthError
from hearth.model.execution import MAX_DATA_BYTES, Execution, Outcome, Snapshot, Status
from hearth.model.state_machine import MachineVersion, StateMachine
from hearth.model.workflow_arn import execution_arn, parse_workflow_arn
from hearth.platform_clock import PlatformClock
from hearth.store.executions import ExecutionTable, TooManyOpen
from hearth.store.machines import MachineTable
from orchestrator.integrations import TaskCall, TaskError, sdk_metadata


class States:
    def __init__(self, machines: MachineTable, executions: ExecutionTable, clock: PlatformClock) -> None:
        self._machines = machines
        self._executions = executions
        self._clock = clock

    async def call(self, task: TaskCall) -> str:
        if task.action != "startExecution":
            raise TaskError("States.Runtime", f"The action {task.action} is not supported by Step Functions.")
        execution, snapshot = await self._child(task)
        try:
            started = await self._executions.start(execution, snapshot)
        except TooManyOpen as exc:
            raise _failed("ExecutionLimitExceeded", "The maximum number of running executions is reached.") from exc
        except HearthError as exc:
            raise _failed("InternalServerError", exc.message, status=500) from exc
        known = started.execution
        ours = known.parent.get("task") == str(task.task_id)
        if not started.new and not ours and (started.status is not Status.RUNNING or known.input != execution.input):
            raise _failed("ExecutionAlreadyExists", f"Execution Already Exists: '{execution.arn}'")
        request_id = str(uuid.uuid4())
        answer = {"ExecutionArn": known.arn, "StartDate": known.started_at_ms}
        headers = {
            "x-amzn-RequestId": request_id,
            "connection": "keep-alive",
            "Content-Length": str(len(known.arn) + 48),  # {"executionArn":"…","startDate":1.762432523085E9}
            "Date": formatdate(usegmt=True),
            "Content-Type": "application/x-amz-json-1.0",
        }
        shown: dict[str, Any] = {"ExecutionArn": answer["ExecutionArn"]}
        shown |= sdk_metadata(request_id, headers)
        shown["StartDate"] = answer["StartDate"]
        return orjson.dumps(shown).decode()

    async def _child(self, task: TaskCall) -> tuple[Execution, Snapshot]:
        text = str(task.parameters.get("StateMachineArn", ""))
        arn = parse_workflow_arn(text)
        machine: StateMachine | None = None
        source: StateMachine | MachineVersion | None = None
        version_arn = alias_arn = ""
        if arn is not None and arn.kind == "stateMachine":
            read = await self._machines.get(arn.account, arn.region, arn.name)
            machine = source = read.machine if read else None
            if arn.rest and machine is not None:
                number = arn.rest
                if not number.isdecimal():
                    alias = await self._machines.alias(arn.account, arn.region, arn.name, number)
                    alias_arn = text if alias else ""
                    number = alias.routing[0]["stateMachineVersionArn"].rpartition(":")[2] if alias else ""
                source = await self._machines.version(arn.account, arn.region, arn.name, int(number or 0))
                version_arn = f"{machine.arn}:{number}"
        if machine is None or source is None:
            raise _failed("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{text}'")
        given = task.parameters.get("Input")
        body = given if isinstance(given, str) else orjson.dumps({} if given is None else given).decode()
        if len(body.encode()) > MAX_DATA_BYTES:
            raise _failed("InvalidExecutionInput", "Invalid State Machine Execution Input: 'Input is too large.'")
        snapshot = Snapshot.of(source, machine)
        parent = {}
        if task.pattern.startswith("sync"):
            parent = {"execution": task.execution.arn, "task": str(task.task_id), "pattern": task.pattern}
        execution = Execution(
            arn=execution_arn(machine.region, machine.account, machine.name, task.child_name),
            machine_arn=machine.arn,
            name=task.child_name,
            input=body,
            started_at_ms=self._clock.now_ms(),
            snapshot=snapshot.key(),
            version_arn=version_arn,
            alias_arn=alias_arn,
            trace_header=str(task.parameters.get("TraceHeader", "")),
            parent=parent,
        )
        return execution, snapshot


def described(execution: Execution, outcome: Outcome, *, parsed: bool) -> dict[str, Any]:
    """A closed child as its parent sees it. parsed: `.sync:2`, where Input and Output are JSON, not its text."""

    def value(text: str) -> Any:
        return orjson.Fragment(text) if parsed else text

    shown: dict[str, Any] = {
        "Cause": outcome.cause,
        "Error": outcome.error,
        "ExecutionArn": execution.arn,
        "Input": value(execution.input),
        "InputDetails": {"Included": True},
        "Name": execution.name,
        "Output": None if outcome.output is None else value(outcome.output),
        "OutputDetails": None if outcome.output is None else {"Included": True},
        "StartDate": execution.started_at_ms,
        "StateMachineArn": execution.machine_arn,
        "StateMachineAliasArn": execution.alias_arn or None,
        "StateMachineVersionArn": execution.version_arn or None,
        "Status": outcome.status.value,
        "StopDate": outcome.stopped_at_ms,
    }
    return {name: one for name, one in shown.items() if one is not None}


def _failed(code: str, message: str, status: int = 400) -> TaskError:
    """AWS names the error with the suffix Exception, and quotes the service's own name of it."""
    cause = (
        f"{message} (Service: AWSStepFunctions; Status Code: {status}; Error Code: {code}; "
        f"Request ID: {uuid.uuid4()}; Proxy: null)"
    )
    name = code if code.endswith("Exception") else f"{code}Exception"
    return TaskError(f"StepFunctions.{name}", cause)
