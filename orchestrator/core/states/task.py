"""Task: work done elsewhere; the effect StartTask asks for it, signals tell how it went."""

from __future__ import annotations

from typing import Any

import orjson

from hearth.asl import errors
from hearth.asl.definition import Resource, ResourceKind, TaskState
from hearth.asl.errors import StateError, runtime_error
from hearth.model.task_token import make_token
from orchestrator.core.effects import CancelTask, StartTask
from orchestrator.core.failure import Failure
from orchestrator.core.run import WHOLE, Run, to_text
from orchestrator.core.state import Frame

_EVENTS = {ResourceKind.LAMBDA_FUNCTION: "LambdaFunction", ResourceKind.ACTIVITY: "Activity"}


def enter(run: Run, frame: Frame, state: TaskState) -> None:
    run.enter(frame, state)
    schedule(run, frame, state)


def schedule(run: Run, frame: Frame, state: TaskState) -> None:
    """Ask for an attempt; the first follows the Entered event, a retry the event that failed."""
    resource = state.resource
    if resource.arn in run.missing:
        raise runtime_error(f"The activity {resource.arn} does not exist.")
    # the id of the Scheduled event to come names the task
    task_id = run.state.next_event_id
    identity = run.state.identity
    has_token = resource.has_token or resource.kind is ResourceKind.ACTIVITY
    token = make_token(identity.arn, task_id, identity.secret) if has_token else ""
    scope = run.scope(frame, state, retry_count=frame.retries, task_token=token if resource.has_token else None)
    effective = state.flow.effective_input(scope)
    timeout_s = state.timeout_s.evaluate(scope) if state.timeout_s else None
    heartbeat_s = state.heartbeat_s.evaluate(scope) if state.heartbeat_s else None
    credentials = state.credentials.evaluate(scope) if state.credentials else None
    parameters = frame.text if effective is frame.value else to_text(effective)

    details: dict[str, Any]
    if resource.kind in _EVENTS:
        details = {"resource": resource.arn, "input": parameters, "inputDetails": WHOLE}
    else:
        details = _named(resource) | {"region": _region(run), "parameters": parameters}
    if timeout_s is not None:
        details["timeoutInSeconds"] = timeout_s
    if heartbeat_s is not None and resource.kind is not ResourceKind.LAMBDA_FUNCTION:
        details["heartbeatInSeconds"] = heartbeat_s
    if credentials is not None:
        details["taskCredentials"] = {"roleArn": credentials["RoleArn"]}
    run.emit(f"{_prefix(resource)}Scheduled", frame, frame.last_id, details)
    if resource.kind is not ResourceKind.ACTIVITY:
        run.started.append(frame)
    if frame.timeout_s:
        run.set_timer(f"timeout:{task_id}", run.at_ms + frame.timeout_s * 1000)
    if frame.heartbeat_s:
        run.set_timer(f"heartbeat:{task_id}", run.at_ms + frame.heartbeat_s * 1000)
    run.perform(
        StartTask(
            task_id,
            state.name,
            resource.arn,
            resource.kind,
            parameters,
            resource.service,
            resource.action,
            resource.pattern,
            token,
            None if credentials is None else credentials["RoleArn"],
            frame.timeout_s or None,
            frame.heartbeat_s or None,
        )
    )


def started(run: Run, frame: Frame, state: TaskState, worker_name: str | None = None) -> None:
    """Its work has begun."""
    resource = state.resource
    details: dict[str, Any] | None = None
    if resource.kind is ResourceKind.ACTIVITY:
        details = {} if worker_name is None else {"workerName": worker_name}
    elif resource.kind is not ResourceKind.LAMBDA_FUNCTION:
        details = _named(resource)
    run.emit(f"{_prefix(resource)}Started", frame, frame.last_id, details)


def submitted(run: Run, frame: Frame, state: TaskState, output: str) -> None:
    """The call that began it has returned; now its end is awaited."""
    details = _named(state.resource) | {"output": output, "outputDetails": WHOLE}
    run.emit("TaskSubmitted", frame, frame.last_id, details)


def heartbeat(run: Run, frame: Frame) -> None:
    """A sign of life: the time for the next one begins anew. It leaves no trace in the history."""
    if frame.heartbeat_s:
        run.set_timer(f"heartbeat:{frame.task_id}", run.at_ms + frame.heartbeat_s * 1000)


def succeeded(run: Run, frame: Frame, state: TaskState, output: str) -> Failure | None:
    """Record the result; `finish` goes on. A result that is too large is a failure instead, and returned."""
    resource = state.resource
    function = resource.kind is ResourceKind.LAMBDA_FUNCTION
    try:
        run.check_size(output, resource.arn if function else resource.service or resource.arn)
    except StateError as error:
        return failed(run, frame, state, error.error, error.cause)
    run.cancel_task_timers(frame)
    details: dict[str, Any] = {} if resource.kind in _EVENTS else _named(resource)
    details |= {"output": output, "outputDetails": WHOLE}
    run.emit(f"{_prefix(resource)}Succeeded", frame, frame.last_id, details)
    return None


def failed(run: Run, frame: Frame, state: TaskState, error: str | None, cause: str | None, stage: str = "") -> Failure:
    """Record the error; stage: "", "Schedule", "Start" or "Submit"."""
    return _ended_badly(run, frame, state, f"{stage}Failed", Failure(error, cause, 0))


def timed_out(run: Run, frame: Frame, state: TaskState, *, heartbeat: bool) -> Failure:
    """Record that its time, or the time for a heartbeat, has run out. AWS tells both by the same name."""
    run.perform(CancelTask(frame.task_id))  # a `.sync` child or job is stopped, an answer comes too late
    return _ended_badly(run, frame, state, "TimedOut", Failure(errors.TIMEOUT, None, 0, heartbeat=heartbeat))


def finish(run: Run, frame: Frame, state: TaskState, output: str) -> None:
    """Leave the state with the task's result, JSON text."""
    scope = run.scope(frame, state, retry_count=frame.retries)
    result = orjson.loads(output)
    run.leave(frame, state, state.flow.leave(scope, result), state.next, result, output)


def _ended_badly(run: Run, frame: Frame, state: TaskState, outcome: str, failure: Failure) -> Failure:
    run.cancel_task_timers(frame)
    details = {} if state.resource.kind in _EVENTS else _named(state.resource)
    event = f"{_prefix(state.resource)}{outcome}"
    failure.event_id = run.emit(event, frame, frame.last_id, details | failure.details())
    failure.catchable = failure.error != errors.RUNTIME
    return failure


def _prefix(resource: Resource) -> str:
    return _EVENTS.get(resource.kind, "Task")


def _named(resource: Resource) -> dict[str, Any]:
    return {"resourceType": resource.event_resource_type, "resource": resource.event_resource}


def _region(run: Run) -> str:
    return run.state.identity.arn.split(":")[3]
