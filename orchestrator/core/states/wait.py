"""Wait: a timer, kept by the shell; nothing runs meanwhile."""

from __future__ import annotations

from hearth.asl.definition import WaitState
from hearth.asl.errors import StateError, runtime_error
from orchestrator.core.run import Run, wait_timer
from orchestrator.core.state import Frame

#: AWS counts a wait's milliseconds up to here
_LONGEST_WAIT_MS = (2**31 - 1) * 1000


def enter(run: Run, frame: Frame, state: WaitState) -> None:
    try:
        due_ms = _due_ms(run, frame, state)
    except StateError:
        run.enter(frame, state)
        raise
    run.enter(frame, state, {"due": due_ms})
    if due_ms <= run.at_ms:
        over(run, frame, state)
    else:
        run.set_timer(wait_timer(frame), due_ms)


def over(run: Run, frame: Frame, state: WaitState) -> None:
    """Its time has come."""
    scope = run.scope(frame, state)
    run.leave(frame, state, state.flow.leave(scope, state.flow.effective_input(scope)), state.next)


def _due_ms(run: Run, frame: Frame, state: WaitState) -> int:
    scope = run.scope(frame, state)
    effective = state.flow.effective_input(scope)
    due_ms = state.until.at_ms(scope if effective is scope.input else scope.narrowed(effective), run.at_ms)
    if due_ms - run.at_ms > _LONGEST_WAIT_MS:
        raise runtime_error("Wait state delay is too long.")
    return due_ms
