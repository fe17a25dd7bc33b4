"""What follows from what has reached an execution: events to append and effects to perform."""

from __future__ import annotations

from collections.abc import Sequence

from hearth.asl.definition import Definition
from orchestrator.core.effects import Decision
from orchestrator.core.signals import Signal
from orchestrator.core.state import ExecutionState, Identity


def start(
    definition: Definition, identity: Identity, input: str, *, at_ms: int, random: float
) -> tuple[ExecutionState, Decision]:
    """A new execution, run on until it is blocked. input: JSON text."""
    raise NotImplementedError


def decide(
    definition: Definition, state: ExecutionState, signals: Sequence[Signal], *, at_ms: int, random: float
) -> Decision:
    """What follows from `signals`: first all are recorded, then the execution runs on until it is blocked.

    Advances `state` in place, through `evolve` alone: the decision's events folded over the state as it was give the
    state as it is. If the commit of the decision fails, the state is void and must be loaded again. Several signals
    at once cost one commit. Signals that come too late (a timer of a task that has ended) yield nothing.
    at_ms: now, epoch ms. random: 0 <= x < 1, drawn afresh for each call; jitter comes from it.
    """
    raise NotImplementedError
