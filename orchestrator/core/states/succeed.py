"""Succeed: ends its branch, or the execution, successfully."""

from __future__ import annotations

from hearth.asl.definition import SucceedState
from orchestrator.core.run import Run
from orchestrator.core.state import Frame


def enter(run: Run, frame: Frame, state: SucceedState) -> None:
    run.enter(frame, state)
    scope = run.scope(frame, state)
    run.leave(frame, state, state.flow.leave(scope, state.flow.effective_input(scope)), None)
