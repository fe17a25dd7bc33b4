"""Redrive: a closed execution goes on where it failed; what had succeeded is not run again.

The frames of an execution that failed keep their states and the results of their children that succeeded. Those that
had not ended are resumed: a task is scheduled anew and a Map or Parallel goes on with the children that it lacks, both
without a new Entered event; other states are entered again. Retry counters start from nothing.
Source: Step Functions Developer Guide, "Restarting state machine executions with redrive".
"""

from __future__ import annotations

from hearth.asl.definition import MapState, ProcessorMode
from orchestrator.core.evolve import FRAME_RESUMED
from orchestrator.core.run import Run
from orchestrator.core.state import Frame, Phase
from orchestrator.core.states import map_, map_run


def begin(run: Run) -> None:
    """Record the redrive and make everything that had stopped ready."""
    state = run.state
    root = state.frames[0]
    event_id = run.emit("ExecutionRedriven", root, state.next_event_id - 1, {"redriveCount": state.redrives + 1})
    _resume(run, root, event_id)


def _resume(run: Run, frame: Frame, event_id: int) -> None:
    if frame.phase is not Phase.STOPPED:
        return
    inside = run.definition.state(frame.state) if frame.container is not None else None
    distributed = isinstance(inside, MapState) and inside.processor.mode is ProcessorMode.DISTRIBUTED
    # a map run whose items could not be read has nothing to go on with
    again = distributed and frame.container is not None and not frame.container.length
    run.note(FRAME_RESUMED, frame, {"again": again}, event_id)
    container = frame.container
    if container is None:
        return
    if distributed and isinstance(inside, MapState):
        map_run.redrive(run, frame, inside)
        return
    for child in list(container.children.values()):
        _resume(run, run.state.frames[child], event_id)
    if isinstance(inside, MapState):
        map_.start_iterations(run, frame, inside, event_id)
