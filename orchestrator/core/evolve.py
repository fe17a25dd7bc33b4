"""How an event changes the state: the only writer of ExecutionState. It folds any history that `decide` wrote."""

from __future__ import annotations

from hearth.model.history import HistoryEvent
from orchestrator.core.state import ExecutionState


def evolve(state: ExecutionState, event: HistoryEvent) -> ExecutionState:
    """`state` after `event`: changed in place and returned."""
    raise NotImplementedError
