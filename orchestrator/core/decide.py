"""What follows from what has reached an execution: events to append and effects to perform."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hearth.asl import errors
from hearth.asl.definition import (
    ChoiceState,
    Definition,
    FailState,
    MapState,
    ParallelState,
    PassState,
    State,
    SucceedState,
    TaskState,
    WaitState,
)
from hearth.asl.errors import StateError
from orchestrator.core import redrive, signals
from orchestrator.core.effects import Decision, ExecutionEnded
from orchestrator.core.failure import Failure, end_failed, fail, fail_by, give_up_work
from orchestrator.core.run import (
    CHARACTERS_PER_DECISION,
    EVENTS_PER_DECISION,
    WHOLE,
    HistoryFull,
    Run,
    retry_timer,
    wait_timer,
)
from orchestrator.core.signals import Signal
from orchestrator.core.state import ExecutionState, Frame, Identity, Phase
from orchestrator.core.states import choice, map_, map_run, parallel, pass_, succeed, task, wait
from orchestrator.core.states import fail as fail_state

_ENTER: dict[type[State], Callable[[Run, Frame, Any], None]] = {
    PassState: pass_.enter,
    ChoiceState: choice.enter,
    TaskState: task.enter,
    WaitState: wait.enter,
    SucceedState: succeed.enter,
    FailState: fail_state.enter,
    ParallelState: parallel.enter,
    MapState: map_.enter,
}

#: of the states that can be retried: another attempt, without a new Entered event
_AGAIN: dict[type[State], Callable[[Run, Frame, Any], None]] = {
    TaskState: task.schedule,
    ParallelState: parallel.start,
    MapState: map_.start,
}


@dataclass(slots=True)
class _Step:
    """What is left to do for a frame once all signals are recorded, if the frame is still in this phase by then."""

    frame: Frame
    phase: Phase
    act: Callable[[Run, Frame, Any], None]


def start(
    definition: Definition,
    identity: Identity,
    input: str,
    *,
    at_ms: int,
    random: float,
    missing: Collection[str] = (),
) -> tuple[ExecutionState, Decision]:
    """A new execution, run on until it is blocked. input: JSON text; the rest as for `decide`."""
    state = ExecutionState(identity, input)
    return state, begin(Run(definition, state, at_ms, random, missing))


def begin(run: Run) -> Decision:
    """`start`, for a run of one's own making."""
    identity, input = run.state.identity, run.state.input
    details: dict[str, Any] = {"input": input, "inputDetails": WHOLE, "roleArn": identity.role_arn}
    if identity.alias_arn is not None:
        details["stateMachineAliasArn"] = identity.alias_arn
    if identity.version_arn is not None:
        details["stateMachineVersionArn"] = identity.version_arn
    run.begin(details)
    _set_execution_timer(run)
    return _run_on(run, [])


def decide(
    definition: Definition,
    state: ExecutionState,
    signals: Sequence[Signal],
    *,
    at_ms: int,
    random: float,
    missing: Collection[str] = (),
) -> Decision:
    """What follows from `signals`: first all are recorded, then the execution runs on until it is blocked.

    Advances `state` in place, through `evolve` alone: the decision's events folded over the state as it was give the
    state as it is. If the commit of the decision fails, the state is void and must be loaded again. Several signals
    at once cost one commit. Signals that come too late (a timer of a task that has ended) yield nothing.
    at_ms: now, epoch ms. random: 0 <= x < 1, drawn afresh for each call; jitter comes from it.
    missing: ARNs of activities in the definition that do not exist (any more); their tasks fail at once.
    """
    return go_on(Run(definition, state, at_ms, random, missing), signals)


def go_on(run: Run, signals: Sequence[Signal]) -> Decision:
    """`decide`, for a run of one's own making."""
    steps: list[_Step] = []
    try:
        for signal in signals:
            if (step := _record(run, signal)) is not None:
                steps.append(step)
    except HistoryFull:
        _history_full(run)
        return run.finished()
    return _run_on(run, steps)


def _run_on(run: Run, steps: list[_Step]) -> Decision:
    """Take the steps that the signals ask for, then enter states until none is ready or the decision is long enough."""
    state = run.state
    states = run.definition.all_states
    events = run.decision.events
    ready = state.ready
    try:
        for step in steps:
            frame = step.frame
            # a sibling's failure among the same signals may have ended it
            if frame.phase is step.phase and state.frames.get(frame.id) is frame:
                _attempt(run, frame, states[frame.state], step.act)
        while ready:
            if len(events) >= EVENTS_PER_DECISION or run.weight > CHARACTERS_PER_DECISION:
                run.decision.unfinished = True
                break
            frame = state.frames[ready[0]]
            if frame.phase is Phase.RESUMING:
                stopped_in = states[frame.state]
                kind = type(stopped_in)
                _attempt(run, frame, stopped_in, _AGAIN.get(kind) or _ENTER[kind])
            else:
                next_state = states[frame.next]  # type: ignore[index]
                _attempt(run, frame, next_state, _ENTER[type(next_state)])
        for frame in run.started:
            if frame.task_id and not state.closed:
                task.started(run, frame, states[frame.state])  # type: ignore[arg-type]
    except HistoryFull:
        _history_full(run)
    return run.finished()


def _attempt(run: Run, frame: Frame, state: State, step: Callable[[Run, Frame, Any], None]) -> None:
    """Do something in a state; what can't be evaluated makes it fail, a chain that ends may end what it is in."""
    try:
        step(run, frame, state)
    except StateError as error:
        fail_by(run, frame, state, error)
    if frame.phase is Phase.DONE:
        _chain_ended(run, frame)


def _chain_ended(run: Run, frame: Frame) -> None:
    if frame.parent < 0:
        details = {"output": frame.text, "outputDetails": WHOLE}
        run.close("ExecutionSucceeded", frame.last_id, details)
        run.perform(ExecutionEnded("SUCCEEDED", output=frame.text))
        return
    parent = run.state.frames[frame.parent]
    parent_state = run.definition.state(parent.state)
    if isinstance(parent_state, MapState):
        _attempt(run, parent, parent_state, lambda run, parent, state: map_.iteration_ended(run, parent, frame, state))
    elif parent.container is not None and not parent.container.children:
        _attempt(run, parent, parent_state, parallel.finish)


def _history_full(run: Run) -> None:
    state = run.state
    cause = f"The execution reached the maximum number of history events ({state.identity.max_events})."
    end_failed(run, Failure(errors.RUNTIME, cause, state.next_event_id - 1, catchable=False))


def _set_execution_timer(run: Run) -> None:
    limit_s = min(run.definition.timeout_s or run.state.identity.max_duration_s, run.state.identity.max_duration_s)
    run.set_timer("execution", run.at_ms + limit_s * 1000)


# ------------------------------------------------------------------------------------------------------ signals


def _record(run: Run, signal: Signal) -> _Step | None:
    """Put what has happened into the history; the answer is what to do about it."""
    state = run.state
    match signal:
        case signals.RedriveRequested():
            if state.closed:
                redrive.begin(run)
                _set_execution_timer(run)
            return None
        case signals.Continue():
            return None
    if state.closed:
        if isinstance(signal, signals.ChildEnded):
            map_run.ended_late(run, signal)
        return None
    match signal:
        case signals.StopRequested():
            give_up_work(run)
            _close(run, "ExecutionAborted", "ABORTED", signal.error, signal.cause)
            return None
        case signals.TimerFired():
            return _timer_fired(run, signal.timer)
    frame_id = state.tasks.get(signal.task_id)
    if frame_id is None:
        return None
    frame = state.frames[frame_id]
    definition_state = run.definition.state(frame.state)
    if isinstance(definition_state, TaskState):
        return _record_of_task(run, frame, definition_state, signal)
    if isinstance(definition_state, MapState):
        return _record_of_map_run(frame, signal)
    return None


def _record_of_task(run: Run, frame: Frame, state: TaskState, signal: Signal) -> _Step | None:
    match signal:
        case signals.TaskSucceeded():
            failure = task.succeeded(run, frame, state, signal.output)
            if failure is not None:
                return _failing(frame, failure)
            return _Step(frame, Phase.RUNNING, partial(task.finish, output=signal.output))
        case signals.TaskFailed():
            return _failing(frame, task.failed(run, frame, state, signal.error, signal.cause, signal.stage))
        case signals.TaskStarted():
            task.started(run, frame, state, signal.worker_name)
        case signals.TaskSubmitted():
            task.submitted(run, frame, state, signal.output)
        case signals.TaskHeartbeat():
            task.heartbeat(run, frame)
    return None


def _record_of_map_run(frame: Frame, signal: Signal) -> _Step | None:
    act: Callable[[Run, Frame, Any], None]
    match signal:
        case signals.ChildEnded():
            act = partial(map_run.child_ended, signal=signal)
        case signals.ItemsRead():
            act = partial(map_run.items_read, read=signal)
        case signals.MapRunFailed():
            act = partial(map_run.failed, error=signal.error, cause=signal.cause)
        case signals.ResultsWritten():
            act = partial(map_run.finish, output=signal.output)
        case signals.MapRunUpdated():
            act = partial(map_run.updated, signal=signal)
        case _:
            return None
    return _Step(frame, Phase.CHILDREN, act)


def _timer_fired(run: Run, timer: str) -> _Step | None:
    """Timers name what they were set for; one that was set for something else than the present is late."""
    state = run.state
    kind, _, rest = timer.partition(":")
    if kind == "execution":
        give_up_work(run)
        _close(run, "ExecutionTimedOut", "TIMED_OUT", errors.TIMEOUT, None)
        return None
    if kind in ("timeout", "heartbeat"):
        frame_id = state.tasks.get(int(rest))
        if frame_id is None:
            return None
        frame = state.frames[frame_id]
        timed = run.definition.state(frame.state)
        assert isinstance(timed, TaskState)
        return _failing(frame, task.timed_out(run, frame, timed, heartbeat=kind == "heartbeat"))
    waiting = state.frames.get(int(rest.partition(":")[0]))
    if waiting is None:
        return None
    current = run.definition.state(waiting.state)
    if waiting.phase is Phase.WAITING and timer == wait_timer(waiting):
        return _Step(waiting, Phase.WAITING, wait.over)
    if waiting.phase is Phase.RETRYING and timer == retry_timer(waiting):
        return _Step(waiting, Phase.RETRYING, _AGAIN[type(current)])
    return None


def _failing(frame: Frame, failure: Failure) -> _Step:
    return _Step(frame, Phase.RUNNING, partial(fail, failure=failure))


def _close(run: Run, type: str, status: str, error: str | None, cause: str | None) -> None:
    members = {"error": error, "cause": cause}
    run.close(type, 0, {name: value for name, value in members.items() if value is not None})
    run.perform(ExecutionEnded(status, error=error, cause=cause))
