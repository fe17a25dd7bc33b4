"""Pass: hands its Result, or its input, on."""

from __future__ import annotations

from hearth.asl.definition import PassState
from hearth.asl.scope import ABSENT
from orchestrator.core.run import Run
from orchestrator.core.state import Frame


def enter(run: Run, frame: Frame, state: PassState) -> None:
    run.enter(frame, state)
    scope = run.scope(frame, state)
    result = state.flow.effective_input(scope) if state.result is ABSENT else state.result
    run.leave(frame, state, state.flow.leave(scope, result), state.next)
