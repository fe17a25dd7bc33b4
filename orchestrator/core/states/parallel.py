"""Parallel: each branch works on the same input; their outputs, in the branches' order, are the result."""

from __future__ import annotations

import orjson

from hearth.asl.definition import ParallelState
from orchestrator.core.run import Run, to_text
from orchestrator.core.state import Frame


def enter(run: Run, frame: Frame, state: ParallelState) -> None:
    run.enter(frame, state)
    start(run, frame, state)


def start(run: Run, frame: Frame, state: ParallelState) -> None:
    """Begin all branches, for the first time or again."""
    effective = state.flow.effective_input(run.scope(frame, state, retry_count=frame.retries))
    facts: dict[str, object] = {"starts": [branch.start_at for branch in state.branches]}
    if effective is not frame.value:
        facts["input"] = to_text(effective)
    run.emit("ParallelStateStarted", frame, frame.last_id, None, facts)


def finish(run: Run, frame: Frame, state: ParallelState) -> None:
    """All branches have ended."""
    container = frame.container
    assert container is not None
    output = f"[{','.join(container.results[index] or 'null' for index in range(container.length))}]"
    run.emit("ParallelStateSucceeded", frame, frame.last_id)
    run.check_size(output, state.name)
    result = orjson.loads(output)
    left = state.flow.leave(run.scope(frame, state, retry_count=frame.retries), result)
    run.leave(frame, state, left, state.next, result, output)
