"""How an event changes the state: the only writer of ExecutionState. It folds any history that `decide` wrote.

Events carry all that is needed, so no definition is: what AWS's details lack stands in the event's `facts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hearth.model.history import HistoryEvent
from orchestrator.core.state import Container, ExecutionState, Frame, Phase, Piece

#: facts-only records (id 0): a retry waits for its delay; a distributed Map's children and items; a redriven frame
RETRY_SCHEDULED = "RetryScheduled"
ITEMS_FOUND = "ItemsFound"
CHILDREN_STARTED = "ChildrenStarted"
CHILD_ENDED = "ChildEnded"
LIMITS_CHANGED = "LimitsChanged"
FRAME_RESUMED = "FrameResumed"
FRAME_STOPPED = "FrameStopped"


def evolve(state: ExecutionState, event: HistoryEvent) -> ExecutionState:
    """`state` after `event`: changed in place and returned."""
    if event.id:
        state.next_event_id = event.id + 1
    _HANDLERS[event.type](state, event)
    return state


def _touch(state: ExecutionState, frame: Frame, pieces: int = Piece.FRAME) -> None:
    frame.dirty |= pieces
    state.changed.add(frame.id)


def _make_ready(state: ExecutionState, frame: Frame, phase: Phase = Phase.READY) -> None:
    frame.phase = phase
    state.ready.append(frame.id)


def _forget_task(state: ExecutionState, frame: Frame) -> None:
    if frame.task_id:
        state.tasks.pop(frame.task_id, None)
        frame.task_id = 0


def _leave_queue(state: ExecutionState, frame: Frame) -> None:
    ready = state.ready
    if ready and ready[0] == frame.id:
        ready.popleft()
    elif frame.phase is Phase.READY or frame.phase is Phase.RESUMING:
        ready.remove(frame.id)


def _add_frame(state: ExecutionState, parent: int, index: int, start_at: str, text: str, last_id: int) -> Frame:
    frame = Frame(state.next_frame_id, parent, index, start_at, text, last_id)
    state.next_frame_id += 1
    state.frames[frame.id] = frame
    state.changed.add(frame.id)
    state.ready.append(frame.id)
    return frame


def _drop_frame(state: ExecutionState, frame: Frame) -> None:
    """With all that is inside it."""
    _drop_container(state, frame)
    if frame.phase is Phase.READY or frame.phase is Phase.RESUMING:
        state.ready.remove(frame.id)
    _forget_task(state, frame)
    del state.frames[frame.id]
    state.changed.add(frame.id)


def _drop_container(state: ExecutionState, frame: Frame) -> None:
    container = frame.container
    if container is None:
        return
    frame.container = None
    _touch(state, frame, Piece.FRAME | Piece.ITEMS)
    for child in container.children.values():
        _drop_frame(state, state.frames[child])
    for index in container.results:
        state.cut[f"r:{frame.id}:{index}"] = None


def _keep_result(state: ExecutionState, frame: Frame, index: int, text: str | None) -> None:
    container = frame.container
    assert container is not None
    container.results[index] = text
    state.cut[f"r:{frame.id}:{index}"] = b"" if text is None else text.encode()


# ------------------------------------------------------------------------------------------------ the execution


def _execution_started(state: ExecutionState, event: HistoryEvent) -> None:
    state.status = "RUNNING"
    facts = event.facts or {}
    frame = Frame(0, -1, 0, facts["next"], state.input, 0)
    state.frames[0] = frame
    state.changed.add(0)
    state.ready.append(0)


def _execution_closed(state: ExecutionState, event: HistoryEvent) -> None:
    details = event.details or {}
    state.status = _CLOSED[event.type]
    state.output = details.get("output")
    state.error = details.get("error")
    state.cause = details.get("cause")
    state.ready.clear()
    for frame in state.frames.values():
        if frame.phase is not Phase.DONE:
            frame.phase = Phase.STOPPED
            _forget_task(state, frame)
            _touch(state, frame)


_CLOSED = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}


def _execution_redriven(state: ExecutionState, event: HistoryEvent) -> None:
    state.status = "RUNNING"
    state.redrives += 1
    state.redriven_at_ms = event.at_ms
    state.output = state.error = state.cause = None
    state.stored_about = False


def _frame_resumed(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    frame.attempts, frame.retries = {}, 0
    _forget_task(state, frame)
    frame.last_id = event.previous_id
    _touch(state, frame)
    if frame.container is None or (event.facts or {}).get("again"):
        _drop_container(state, frame)
        _make_ready(state, frame, Phase.RESUMING if frame.next is None else Phase.READY)
    else:
        frame.phase = Phase.CHILDREN


# ---------------------------------------------------------------------------------------------------- any state


def _entered(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    ready = state.ready
    if ready and ready[0] == frame.id:
        ready.popleft()
    elif frame.phase is Phase.READY or frame.phase is Phase.RESUMING:
        ready.remove(frame.id)
    details: Any = event.details
    frame.state = details["name"]
    frame.next = None
    frame.phase = Phase.RUNNING
    frame.entered_id = frame.last_id = event.id
    frame.entered_previous_id = event.previous_id
    frame.entered_at_ms = event.at_ms
    if frame.retries:
        frame.attempts, frame.retries = {}, 0
    facts = event.facts
    if facts is not None:
        frame.due_ms = facts["due"]
        frame.phase = Phase.WAITING
    frame.dirty |= Piece.FRAME
    state.changed.add(frame.id)


def _exited(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    details: Any = event.details
    if frame.container is not None:
        _drop_container(state, frame)
    text = details["output"]
    if text is not frame.text:
        frame.text = text
        frame.value = event.value
        frame.dirty |= Piece.TEXT
    frame.last_id = event.id
    _forget_task(state, frame)
    assigned = details.get("assignedVariables")
    if assigned is not None:
        known = dict(frame.variables or {})
        known.update((name, orjson.loads(value)) for name, value in assigned.items())
        frame.variables = known
        frame.dirty |= Piece.VARIABLES
    frame.dirty |= Piece.FRAME
    state.changed.add(frame.id)
    facts = event.facts
    if facts is not None:
        frame.next = facts["next"]
        frame.phase = Phase.READY
        state.ready.append(frame.id)
        return
    frame.phase = Phase.DONE
    if frame.parent >= 0:
        parent = state.frames[frame.parent]
        container = parent.container
        # a Map's iteration has an event of its own for its end, a Parallel's branch has none
        if container is not None and container.items is None:
            _branch_done(state, parent, container, frame, event.id)


def _branch_done(state: ExecutionState, parent: Frame, container: Container, frame: Frame, event_id: int) -> None:
    del container.children[frame.index]
    _keep_result(state, parent, frame.index, frame.text)
    _drop_frame(state, frame)
    parent.last_id = event_id
    _touch(state, parent)


def _advanced(state: ExecutionState, event: HistoryEvent) -> None:
    """The chain has a new last event, and that is all."""
    frame = state.frames[event.frame]
    frame.last_id = event.id
    _touch(state, frame)


def _nothing(state: ExecutionState, event: HistoryEvent) -> None:
    """No event follows this one in its chain."""


def _aborted(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    if frame.phase is Phase.READY or frame.phase is Phase.RESUMING:
        state.ready.remove(frame.id)
    frame.phase = Phase.STOPPED
    if frame.container is None:  # a map run that it is in has an end of its own
        _forget_task(state, frame)
    _touch(state, frame)


# -------------------------------------------------------------------------------------------------------- tasks


def _scheduled(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    details: Any = event.details
    _leave_queue(state, frame)
    frame.phase = Phase.TASK
    frame.task_id = frame.last_id = event.id
    state.tasks[event.id] = frame.id
    frame.timeout_s = details.get("timeoutInSeconds", 0)
    frame.heartbeat_s = details.get("heartbeatInSeconds", 0)
    _touch(state, frame)


def _task_ended(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    frame.phase = Phase.RUNNING
    _forget_task(state, frame)
    frame.last_id = event.id
    _touch(state, frame)


def _retry_scheduled(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    facts: Any = event.facts
    retrier = facts["retrier"]
    frame.attempts = {**frame.attempts, retrier: frame.attempts.get(retrier, 0) + 1}
    frame.retries += 1
    frame.due_ms = facts["due"]
    frame.phase = Phase.RETRYING
    _forget_task(state, frame)
    frame.last_id = event.previous_id
    _drop_container(state, frame)
    _touch(state, frame)


# --------------------------------------------------------------------------------------------- Parallel and Map


def _parallel_started(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    facts: Any = event.facts
    _leave_queue(state, frame)
    _drop_container(state, frame)
    starts = facts["starts"]
    text = facts.get("input", frame.text)
    container = frame.container = Container(len(starts))
    frame.phase = Phase.CHILDREN
    frame.last_id = event.id
    for index, start_at in enumerate(starts):
        child = _add_frame(state, frame.id, index, start_at, text, event.id)
        if text is frame.text:
            child.value = frame.value
        container.children[index] = child.id
    container.next_index = len(starts)
    _touch(state, frame)


def _map_started(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    facts: Any = event.facts
    _leave_queue(state, frame)
    _drop_container(state, frame)
    items = facts["items"]
    container = frame.container = Container(len(items), facts["limit"], items, facts.get("keys"))
    if "tolerance" in facts:
        count, percentage = facts["tolerance"]
        container.tolerance = (count, percentage)
    frame.phase = Phase.CHILDREN
    frame.last_id = event.id
    _touch(state, frame, Piece.FRAME | Piece.ITEMS)


def _iteration_started(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    facts: Any = event.facts
    details: Any = event.details
    container = frame.container
    assert container is not None
    index = details["index"]
    child = _add_frame(state, frame.id, index, facts["start"], facts["input"], event.id)
    container.children[index] = child.id
    container.next_index = max(container.next_index, index + 1)
    _touch(state, frame)


def _iteration_succeeded(state: ExecutionState, event: HistoryEvent) -> None:
    child = state.frames[event.frame]
    frame = state.frames[child.parent]
    container = frame.container
    assert container is not None
    del container.children[child.index]
    _keep_result(state, frame, child.index, child.text)
    _drop_frame(state, child)
    frame.last_id = event.id
    _touch(state, frame)


# --------------------------------------------------------------------------------------------- distributed Maps


def _map_run_ended(state: ExecutionState, event: HistoryEvent) -> None:
    """No event of the chain follows it."""
    _forget_task(state, state.frames[event.frame])


def _container_ended(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    _forget_task(state, frame)
    frame.last_id = event.id
    _touch(state, frame)


def _map_run_started(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    details: Any = event.details
    if frame.container is not None:
        frame.container.run_arn, frame.container.run_id = details["mapRunArn"], event.id
    frame.task_id = frame.last_id = event.id
    state.tasks[event.id] = frame.id
    _touch(state, frame)


def _map_run_redriven(state: ExecutionState, event: HistoryEvent) -> None:
    """Children that succeeded stay; those that failed or were stopped have begun and not ended."""
    frame = state.frames[event.frame]
    container = frame.container
    assert container is not None
    frame.last_id = event.id
    frame.task_id = container.run_id
    state.tasks[frame.task_id] = frame.id
    _touch(state, frame)
    for index in [index for index, output in container.results.items() if output is None]:
        del container.results[index]
        state.cut[f"r:{frame.id}:{index}"] = None
    container.failed = 0
    container.redrives += 1


def _items_found(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    facts: Any = event.facts
    container = frame.container
    assert container is not None
    container.items = facts["items"]
    container.length = len(facts["items"])
    _touch(state, frame, Piece.FRAME | Piece.ITEMS)


def _children_started(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    container = frame.container
    assert container is not None
    container.next_index = (event.facts or {})["until"]
    _touch(state, frame)


def _child_ended(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    facts: Any = event.facts
    container = frame.container
    assert container is not None
    _keep_result(state, frame, facts["index"], facts["output"])
    container.failed += facts["failed"]
    _touch(state, frame)


def _limits_changed(state: ExecutionState, event: HistoryEvent) -> None:
    frame = state.frames[event.frame]
    facts: Any = event.facts
    container = frame.container
    assert container is not None
    container.limit = facts["limit"]
    count, percentage = facts["tolerance"]
    container.tolerance = (count, percentage)
    _touch(state, frame)


_HANDLERS: dict[str, Callable[[ExecutionState, HistoryEvent], None]] = {
    "ExecutionStarted": _execution_started,
    "ExecutionRedriven": _execution_redriven,
    **dict.fromkeys(_CLOSED, _execution_closed),
    **{
        f"{type}StateEntered": _entered
        for type in ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
    },
    **{f"{type}StateExited": _exited for type in ("Task", "Pass", "Choice", "Wait", "Succeed", "Parallel", "Map")},
    **{f"{type}StateAborted": _aborted for type in ("Task", "Wait", "Parallel", "Map")},
    FRAME_STOPPED: _aborted,
    FRAME_RESUMED: _frame_resumed,
    "EvaluationFailed": _advanced,
    "LambdaFunctionScheduled": _scheduled,
    "TaskScheduled": _scheduled,
    "ActivityScheduled": _scheduled,
    "LambdaFunctionStarted": _advanced,
    "TaskStarted": _advanced,
    "ActivityStarted": _advanced,
    "TaskSubmitted": _advanced,
    **{
        f"{kind}{outcome}": _task_ended
        for kind in ("LambdaFunction", "Task", "Activity")
        for outcome in ("Succeeded", "Failed", "TimedOut", "ScheduleFailed", "StartFailed", "SubmitFailed")
    },
    RETRY_SCHEDULED: _retry_scheduled,
    "ParallelStateStarted": _parallel_started,
    "ParallelStateSucceeded": _nothing,
    "ParallelStateFailed": _container_ended,
    "MapStateStarted": _map_started,
    "MapStateSucceeded": _nothing,
    "MapStateFailed": _container_ended,
    "MapIterationStarted": _iteration_started,
    "MapIterationSucceeded": _iteration_succeeded,
    "MapIterationFailed": _aborted,
    "MapIterationAborted": _aborted,
    "MapRunStarted": _map_run_started,
    "MapRunRedriven": _map_run_redriven,
    "MapRunSucceeded": _container_ended,
    "MapRunFailed": _container_ended,
    "MapRunAborted": _map_run_ended,
    ITEMS_FOUND: _items_found,
    CHILDREN_STARTED: _children_started,
    CHILD_ENDED: _child_ended,
    LIMITS_CHANGED: _limits_changed,
}
