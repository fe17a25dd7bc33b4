"""Fail: ends its branch, or the execution, with an error. It has no Exited event."""

from __future__ import annotations

from hearth.asl.definition import FailState
from orchestrator.core.failure import Failure, fail
from orchestrator.core.run import Run
from orchestrator.core.state import Frame


def enter(run: Run, frame: Frame, state: FailState) -> None:
    entered_id = run.enter(frame, state)
    error, cause = state.outcome(run.scope(frame, state))
    fail(run, frame, state, Failure(error, cause, entered_id))
