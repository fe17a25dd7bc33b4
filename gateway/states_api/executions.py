"""Executions: start, stop, redrive, describe, list. Source: Step Functions API reference; texts as recorded."""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.call import Call
from gateway.states_api import pages
from gateway.states_api.definitions import variable_references
from gateway.states_api.machines import as_published, existing, version_of
from gateway.states_api.names import check_name, no_execution, no_machine, no_resource, refuse, workflow_arn
from hearth.clock import Deadline
from hearth.errors import ApiError
from hearth.json_problem import parser_text
from hearth.model.execution import MAX_DATA_BYTES, Execution, Snapshot, Status
from hearth.model.state_machine import StateMachine
from hearth.model.workflow_arn import WorkflowArn, execution_arn, express_arn
from hearth.store.executions import Stored, TooManyOpen

DAY_MS = 86_400_000
#: how long after its end an execution can be redriven (Step Functions, redriving executions)
REDRIVABLE_MS = 14 * DAY_MS
#: an Express execution's way to an orchestrator and back
_TRANSIT_S = 10.0
#: how long a redrive waits for children that are being stopped, and how often it looks
_STOPPING_S = 10.0
_STOPPING_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Target:
    """What a start names: the machine as it is executed, and through which version and alias."""

    machine: StateMachine
    #: names this content of the machine: its revision, or its version
    mark: str
    version_arn: str = ""
    alias_arn: str = ""


async def start_execution(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    target = await _target(call, given["stateMachineArn"])
    text = _input(given)
    name = check_name(given["name"]) if given.get("name") is not None else str(uuid.uuid4())
    if target.machine.type == "EXPRESS":
        return await _accept_express(call, target, name, text, given.get("traceHeader", ""))
    machine, now = target.machine, call.backends.clock.now_ms()
    kept = _snapshot(target)
    execution = Execution(
        arn=execution_arn(machine.region, machine.account, machine.name, name),
        machine_arn=machine.arn,
        name=name,
        input=text,
        started_at_ms=now,
        snapshot=kept.key,
        version_arn=target.version_arn,
        alias_arn=target.alias_arn,
        trace_header=given.get("traceHeader", ""),
    )
    try:
        started = await call.backends.executions.start(
            execution, kept.snapshot, max_open=call.backends.settings.workflow_open_limit
        )
    except TooManyOpen as exc:
        raise ApiError("ExecutionLimitExceeded", 400, "The maximum number of running executions is reached.") from exc
    if not started.new and (started.status is not Status.RUNNING or started.execution.input != text):
        raise ApiError("ExecutionAlreadyExists", 400, f"Execution Already Exists: '{execution.arn}'")
    return {"executionArn": execution.arn, "startDate": started.execution.started_at_ms / 1000}


async def start_sync_execution(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    target = await _target(call, given["stateMachineArn"])
    if target.machine.type != "EXPRESS":
        raise _wrong_type()
    text = _input(given)
    name = check_name(given["name"]) if given.get("name") is not None else str(uuid.uuid4())
    body = _express(call, target, name, text, given.get("traceHeader", ""))
    settings = call.backends.settings
    deadline = Deadline.after(settings.express_seconds / min(1.0, settings.time_scale) + _TRANSIT_S)
    answer = await call.backends.workflows.call("StartSyncExecution", body, deadline=deadline)
    if given.get("includedData") == "METADATA_ONLY":
        answer |= {"input": None, "output": None}
        answer |= {"inputDetails": {"included": False}, "outputDetails": {"included": False}}
    return answer


async def stop_execution(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stored = await _existing(call, workflow_arn(given["executionArn"], "execution"))
    if stored.outcome.status is not Status.RUNNING:
        return {"stopDate": stored.outcome.stopped_at_ms / 1000}
    members = {name: given[name] for name in ("error", "cause") if given.get(name) is not None}
    now = call.backends.clock.now_ms()
    await call.backends.executions.tell(stored.execution.arn, "StopRequested", **members)
    return {"stopDate": now / 1000}


async def redrive_execution(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stored = await _existing(call, workflow_arn(given["executionArn"], "execution"))
    now, token = call.backends.clock.now_ms(), given.get("clientToken", "")
    if (why := await _not_redrivable(call, stored)) and not (
        token and stored.outcome.status is Status.RUNNING and stored.outcome.redrives
    ):
        raise ApiError("ExecutionNotRedrivable", 400, why)
    if stored.execution.map_run_arn:  # its map run counts it, and starts it again when its parent is redriven
        raise ApiError("ExecutionNotRedrivable", 400, "A child of a Map Run is redriven by redriving its parent")
    if not why:
        await _children_stopped(call, stored.execution)
    at_ms = await call.backends.executions.redrive(stored, now_ms=now, client_token=token)
    if at_ms is None:
        again = await _existing(call, workflow_arn(given["executionArn"], "execution"))
        raise ApiError("ExecutionNotRedrivable", 400, await _not_redrivable(call, again))
    return {"redriveDate": at_ms / 1000}


async def describe_execution(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = workflow_arn(given["executionArn"], "execution")
    stored = await _existing(call, arn)
    execution, outcome = stored.execution, stored.outcome
    shown = _listed(stored) | {
        "input": execution.input,
        "inputDetails": {"included": True},
        "output": outcome.output,
        "outputDetails": {"included": True} if outcome.output is not None else None,
        # AWS tells no error of an execution whose own time ran out, though its history does
        "error": outcome.error if outcome.status is not Status.TIMED_OUT else None,
        "cause": outcome.cause,
        "traceHeader": execution.trace_header or None,
        "redriveStatus": "REDRIVABLE",
        "itemCount": None,
    }
    if execution.map_run_arn and outcome.status is not Status.SUCCEEDED:
        shown["redriveStatus"] = "REDRIVABLE_BY_MAP_RUN"
    elif why := await _not_redrivable(call, stored):
        shown |= {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": why}
    if given.get("includedData") == "METADATA_ONLY":
        hidden = {"included": False}
        shown |= {"input": None, "output": None, "inputDetails": hidden}
        shown["outputDetails"] = hidden if outcome.output is not None else None
    return shown


async def describe_state_machine_for_execution(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stored = await _existing(call, workflow_arn(given["executionArn"], "execution"))
    execution = stored.execution
    snapshot = await call.backends.executions.snapshot(execution.snapshot)
    machine = workflow_arn(execution.machine_arn, "stateMachine")
    hidden = given.get("includedData") == "METADATA_ONLY"
    return {
        "stateMachineArn": execution.version_arn or execution.machine_arn,
        "name": snapshot.name,
        "definition": "{}" if hidden else snapshot.definition,
        "roleArn": snapshot.role_arn,
        "updateDate": snapshot.updated_at_ms / 1000,
        "loggingConfiguration": snapshot.logging,
        "tracingConfiguration": {"enabled": snapshot.tracing},
        "mapRunArn": execution.map_run_arn or None,
        "label": machine.label or None,
        "revisionId": snapshot.revision_id or None,
        "encryptionConfiguration": snapshot.encryption or None,
        "variableReferences": None if hidden else variable_references(snapshot.definition) or None,
    }


async def list_executions(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    owner, status = await _owner(call, given), given.get("statusFilter", "")
    if status == "PENDING_REDRIVE" and not given.get("mapRunArn"):
        refuse("PENDING_REDRIVE can only be used with a mapRunArn")
    redriven = given.get("redriveFilter")
    query = (owner, status, redriven)
    start, size = pages.start_of(given, *query), pages.size_of(given)
    found: list[Stored] = []
    more = True
    while more and len(found) < size:
        some, more = await call.backends.executions.page(owner, status, start, size - len(found))
        start += size - len(found)
        found += [one for one in some if redriven is None or (one.outcome.redrives > 0) == (redriven == "REDRIVEN")]
    return {
        "executions": [_listed(one) for one in found],
        "nextToken": pages.token_of(start, *query) if more else None,
    }


async def _owner(call: Call, given: dict[str, Any]) -> str:
    """The ARN whose executions are listed."""
    machine, run = given.get("stateMachineArn"), given.get("mapRunArn")
    if (machine is None) == (run is None):
        refuse("Must provide a state machine ARN or map run ARN", reason="MISSING_REQUIRED_PARAMETER")
    if run is not None:
        arn = workflow_arn(run, "mapRun")
        if await call.backends.executions.map_run(run) is None:
            raise no_resource(run)
        return str(arn)
    arn = workflow_arn(machine, "stateMachine")  # type: ignore[arg-type]
    if not arn.label and (await existing(call, arn)).machine.type == "EXPRESS":
        raise _wrong_type()
    return str(arn)


async def _target(call: Call, text: str) -> Target:
    """The machine, version or alias that is to be executed."""
    arn = workflow_arn(text, "stateMachine")
    read = await existing(call, arn)
    machine = read.machine
    if machine.status == "DELETING":
        raise ApiError("StateMachineDeleting", 400, f"State machine is being deleted: '{machine.arn}'")
    if not arn.rest:
        return Target(machine, read.revision)
    alias_arn = ""
    if not arn.rest.isdecimal():
        alias = await call.backends.machines.alias(arn.account, arn.region, arn.name, arn.rest)
        if alias is None:
            raise no_machine(text)
        alias_arn = text
        weights = [route["weight"] for route in alias.routing]
        chosen = random.choices(alias.routing, weights)[0]["stateMachineVersionArn"]
        arn = workflow_arn(chosen, "stateMachine")
    version = await version_of(call, arn)
    if version is None:
        raise no_machine(text)
    return Target(as_published(machine, version), f"{arn} {version.created_at_ms}", str(arn), alias_arn)


@dataclass(frozen=True, slots=True)
class _Kept:
    snapshot: Snapshot
    content: bytes
    key: str


_kept: dict[str, _Kept] = {}
#: machines' snapshots that a process keeps ready
_MOST_KEPT = 256


def _snapshot(target: Target) -> _Kept:
    """What the machine's executions keep of it."""
    kept = _kept.get(target.mark)
    if kept is None:
        snapshot = Snapshot.of(target.machine, target.machine)
        content = snapshot.to_json()
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        kept = _kept[target.mark] = _Kept(snapshot, content, Snapshot.key_of(content))
    return kept


def _express(call: Call, target: Target, name: str, text: str, trace: str) -> dict[str, Any]:
    """An Express execution as it goes to an orchestrator."""
    machine, kept = target.machine, _snapshot(target)
    return {
        "arn": express_arn(machine.region, machine.account, machine.name, name, str(uuid.uuid4())),
        "name": name,
        "input": text,
        "snapshot": orjson.Fragment(kept.content),
        "snapshot_key": kept.key,
        "version_arn": target.version_arn,
        "alias_arn": target.alias_arn,
        "trace_header": trace,
        "started_at_ms": call.backends.clock.now_ms(),
    }


async def _accept_express(call: Call, target: Target, name: str, text: str, trace: str) -> dict[str, Any]:
    body = _express(call, target, name, text, trace)
    await call.backends.workflows.accept(body, message_id=body["arn"])
    return {"executionArn": body["arn"], "startDate": body["started_at_ms"] / 1000}


def _input(given: dict[str, Any]) -> str:
    """JSON text, kept as it came."""
    text: str = given.get("input", "{}")
    if len(text.encode()) > MAX_DATA_BYTES:
        refuse(
            f"1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less "
            f"than or equal to {MAX_DATA_BYTES}"
        )
    if not text:
        raise _bad_input("Invalid execution input.")
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise _bad_input(parser_text(text.encode(), str(exc)).partition("\n")[0]) from exc
    return text


def _bad_input(why: str) -> ApiError:
    return ApiError("InvalidExecutionInput", 400, f"Invalid State Machine Execution Input: '{why}'")


async def _existing(call: Call, arn: WorkflowArn) -> Stored:
    stored = None
    if (arn.account, arn.region) == (call.caller.account, call.caller.region):
        stored = await call.backends.executions.get(str(arn))
    if stored is None:
        raise no_execution(str(arn))
    return stored


async def _not_redrivable(call: Call, stored: Stored) -> str:
    """AWS's reason; empty if it can be redriven."""
    outcome = stored.outcome
    if outcome.status in (Status.SUCCEEDED, Status.RUNNING, Status.PENDING_REDRIVE):
        return f"Execution is {outcome.status} and cannot be redriven"
    now = call.backends.clock.now_ms()
    if now - outcome.stopped_at_ms > REDRIVABLE_MS:
        return "Execution redrivable period exceeded"
    if now - stored.execution.started_at_ms > 365 * DAY_MS:
        return "Execution open period exceeded"
    if await call.backends.histories.length(stored.execution.arn) >= call.backends.settings.workflow_event_limit - 1:
        return "Execution history event limit exceeded"
    return ""


async def _children_stopped(call: Call, execution: Execution) -> None:
    """A map run that failed has asked its other children to stop: a redrive must not meet one that has not yet."""
    deadline = Deadline.after(_STOPPING_S)
    while await call.backends.executions.children_running(execution.arn):
        if deadline.remaining_s <= 0:
            raise ApiError("ExecutionNotRedrivable", 400, "Child executions of its map run are still being stopped")
        await asyncio.sleep(_STOPPING_LOOK_S)


def _listed(stored: Stored) -> dict[str, Any]:
    execution, outcome = stored.execution, stored.outcome
    return {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine_arn,
        "name": execution.name,
        "status": outcome.status.value,
        "startDate": execution.started_at_ms / 1000,
        "stopDate": outcome.stopped_at_ms / 1000 if outcome.stopped_at_ms else None,
        "redriveCount": outcome.redrives,
        "redriveDate": outcome.redriven_at_ms / 1000 if outcome.redriven_at_ms else None,
        "stateMachineVersionArn": execution.version_arn or None,
        "stateMachineAliasArn": execution.alias_arn or None,
        "mapRunArn": execution.map_run_arn or None,
        "itemCount": execution.item_count or None,
    }


def _wrong_type() -> ApiError:
    return ApiError(
        "StateMachineTypeNotSupported", 400, "This operation is not supported by this type of state machine"
    )
