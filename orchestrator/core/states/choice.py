"""Choice: goes where the first rule that holds points to."""

from __future__ import annotations

from hearth.asl.definition import ChoiceState
from orchestrator.core.run import Run
from orchestrator.core.state import Frame


def enter(run: Run, frame: Frame, state: ChoiceState) -> None:
    run.enter(frame, state)
    scope = run.scope(frame, state)
    effective = state.flow.effective_input(scope)
    next, flow = state.choose(scope if effective is scope.input else scope.narrowed(effective))
    run.leave(frame, state, flow.leave(scope, effective), next)
