"""What becomes of a state that failed: retried, caught, or the end of its branch, its Map or Parallel, the execution.

Sources: Amazon States Language specification, "Errors"; Step Functions Developer Guide, "Handling errors"; which event
each event of a failure names as previous is as recorded from AWS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hearth.asl import errors
from hearth.asl.definition import MapState, ParallelState, State, TaskState, WaitState
from hearth.asl.errors import StateError
from orchestrator.core.effects import CancelTask, ExecutionEnded, FinishMapRun
from orchestrator.core.evolve import FRAME_STOPPED, RETRY_SCHEDULED
from orchestrator.core.run import Run, retry_timer
from orchestrator.core.state import Frame, Phase


@dataclass(slots=True)
class Failure:
    """error, cause: None where AWS has none. event_id: the event that tells of it, which all that follows points at."""

    error: str | None
    cause: str | None
    event_id: int
    catchable: bool = True
    #: a missed heartbeat: States.HeartbeatTimeout takes it too
    heartbeat: bool = False

    def output(self) -> dict[str, str | None]:
        """What a Catcher is given."""
        cause = self.cause
        if self.error == errors.TIMEOUT and cause is None:
            cause = ""
        return {"Error": self.error, "Cause": cause}

    def details(self) -> dict[str, Any]:
        """Members of the events that end with it."""
        members = {"error": self.error, "cause": self.cause}
        return {name: value for name, value in members.items() if value is not None}


def fail_by(run: Run, frame: Frame, state: State, error: StateError) -> None:
    """The state can't be evaluated."""
    # too much data and missed tolerances are told bare, errors of the language with the place they occurred at
    bare = error.error in (errors.DATA_LIMIT_EXCEEDED, errors.EXCEED_TOLERATED_FAILURE_THRESHOLD)
    cause = error.cause if bare else error.cause_in(state.name, frame.entered_id)
    event_id = frame.last_id
    if error.evaluation:
        details = {"error": error.error, "cause": cause, "state": state.name}
        if error.location is not None:
            details["location"] = error.location
        # as if the state had not been entered yet, as AWS has it; only a Wait's own time is looked at later
        untouched = frame.last_id == frame.entered_id and not isinstance(state, WaitState)
        event_id = run.emit("EvaluationFailed", frame, frame.entered_previous_id if untouched else event_id, details)
    fail(run, frame, state, Failure(error.error, cause, event_id, error.catchable))


def fail(run: Run, frame: Frame, state: State, failure: Failure) -> None:
    """Retry the state, leave it through a Catcher, or end what it is in."""
    if not failure.catchable:
        end_failed(run, failure)
        return
    if isinstance(state, (TaskState, ParallelState, MapState)):
        if frame.task_id:  # a map run that is not over
            run.perform(FinishMapRun(frame.task_id, "FAILED"))
        if _retry(run, frame, state, failure):
            return
        if not isinstance(state, TaskState):
            failure.event_id = run.emit(f"{state.type}StateFailed", frame, failure.event_id)
        if _catch(run, frame, state, failure):
            return
    if frame.parent < 0:
        end_failed(run, failure)
        return
    parent = run.state.frames[frame.parent]
    container_state = run.definition.state(parent.state)
    _stop_children(run, parent, frame, container_state, failure.event_id)
    fail(run, parent, container_state, failure)


def end_failed(run: Run, failure: Failure) -> None:
    """The execution is over: FAILED."""
    give_up_work(run)
    run.close("ExecutionFailed", failure.event_id, failure.details())
    run.perform(ExecutionEnded("FAILED", error=failure.error, cause=failure.cause))


def give_up_work(run: Run) -> None:
    """Before an execution closes with work in flight."""
    for frame in run.state.frames.values():
        if not frame.task_id:
            continue
        if frame.phase is Phase.TASK:
            run.perform(CancelTask(frame.task_id))
        else:
            run.perform(FinishMapRun(frame.task_id, "ABORTED"))


def _retry(run: Run, frame: Frame, state: TaskState | ParallelState | MapState, failure: Failure) -> bool:
    for number, retrier in enumerate(state.retry):
        if not _matches(retrier.error_equals, failure, state):
            continue
        attempt = frame.attempts.get(number, 0) + 1
        if attempt > retrier.max_attempts:
            return False
        due_ms = run.at_ms + round(retrier.delay_s(attempt, run.draw()) * 1000)
        run.note(RETRY_SCHEDULED, frame, {"retrier": number, "due": due_ms}, failure.event_id)
        run.set_timer(retry_timer(frame), due_ms)
        return True
    return False


def _catch(run: Run, frame: Frame, state: TaskState | ParallelState | MapState, failure: Failure) -> bool:
    for catcher in state.catch:
        if not _matches(catcher.error_equals, failure, state):
            continue
        error_output = failure.output()
        try:
            left = catcher.flow.leave(run.scope(frame, state, retry_count=frame.retries), error_output)
            run.leave(frame, state, left, catcher.next)
        except StateError as error:
            # not caught again by the same state
            fatal = StateError(
                error.error, error.cause, catchable=False, evaluation=error.evaluation, location=error.location
            )
            fail_by(run, frame, state, fatal)
        return True
    return False


def _matches(error_equals: tuple[str, ...], failure: Failure, state: State) -> bool:
    return errors.matches(
        error_equals, failure.error or "", of_task=isinstance(state, TaskState), heartbeat=failure.heartbeat
    )


def _stop_children(run: Run, parent: Frame, failed: Frame, container_state: State, event_id: int) -> None:
    """One child has failed: it and its siblings end with it; what they were doing is kept for a redrive."""
    if isinstance(container_state, MapState):
        _iteration_event(run, "Failed", failed, container_state, event_id)
    _abort_state(run, failed, event_id)
    _abort_children(run, parent, event_id)


def _abort_children(run: Run, parent: Frame, event_id: int) -> None:
    container = parent.container
    assert container is not None
    container_state = run.definition.state(parent.state)
    for id in list(container.children.values()):
        child = run.state.frames[id]
        if child.phase in (Phase.DONE, Phase.STOPPED):
            continue
        if child.container is None:
            run.cancel_work(child)
        if isinstance(container_state, MapState):
            _iteration_event(run, "Aborted", child, container_state, event_id)
        if child.container is not None:
            _abort_children(run, child, event_id)
            if child.task_id:
                run.perform(FinishMapRun(child.task_id, "ABORTED"))
                run.emit("MapRunAborted", child, event_id)
        _abort_state(run, child, event_id)


def _abort_state(run: Run, frame: Frame, event_id: int) -> None:
    state = run.definition.state(frame.state) if frame.state and frame.next is None else None
    if isinstance(state, (TaskState, WaitState)) or (
        isinstance(state, (ParallelState, MapState)) and frame.last_id != event_id
    ):
        run.emit(f"{state.type}StateAborted", frame, event_id)
    else:
        run.note(FRAME_STOPPED, frame)


def _iteration_event(run: Run, outcome: str, frame: Frame, state: MapState, event_id: int) -> None:
    run.emit(f"MapIteration{outcome}", frame, event_id, {"name": state.name, "index": frame.index})
