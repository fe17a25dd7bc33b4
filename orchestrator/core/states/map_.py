"""Map: the same states for each item, as iterations in this execution, or (distributed) as executions of their own."""

from __future__ import annotations

from typing import Any

import orjson

from hearth.asl.definition import MapItem, MapState, ProcessorMode
from orchestrator.core.run import Run, to_text
from orchestrator.core.state import Frame
from orchestrator.core.states import map_run

#: iterations of an inline Map that run at once, at most. Source: Developer Guide, "Inline mode"
MAX_CONCURRENCY = 40


def enter(run: Run, frame: Frame, state: MapState) -> None:
    run.enter(frame, state)
    start(run, frame, state)


def start(run: Run, frame: Frame, state: MapState) -> None:
    """Find the items and begin, for the first time or again."""
    scope = run.scope(frame, state, retry_count=frame.retries)
    effective = state.flow.effective_input(scope)
    narrowed = scope if effective is scope.input else scope.narrowed(effective)
    limit = state.max_concurrency.evaluate(narrowed) if state.max_concurrency else 0
    if state.processor.mode is ProcessorMode.DISTRIBUTED:
        map_run.start(run, frame, state, narrowed, limit)
        return
    items = state.items.items(narrowed)
    facts: dict[str, Any] = {
        "items": [item.value for item in items],
        "limit": min(limit or MAX_CONCURRENCY, MAX_CONCURRENCY),
    }
    if items and items[0].key is not None:
        facts["keys"] = [item.key for item in items]
    run.emit("MapStateStarted", frame, frame.last_id, {"length": len(items)}, facts)
    start_iterations(run, frame, state, frame.last_id)
    if not items:
        finish(run, frame, state)


def iteration_ended(run: Run, frame: Frame, child: Frame, state: MapState) -> None:
    """An iteration has left its last state: begin the next one, or end the Map."""
    last_id = child.last_id
    run.emit("MapIterationSucceeded", child, last_id, {"name": state.name, "index": child.index})
    container = frame.container
    assert container is not None
    if container.next_index < container.length:
        start_iterations(run, frame, state, last_id)
    elif not container.children:
        finish(run, frame, state)


def finish(run: Run, frame: Frame, state: MapState) -> None:
    """All iterations have ended."""
    container = frame.container
    assert container is not None
    output = f"[{','.join(container.results[index] or 'null' for index in range(container.length))}]"
    run.emit("MapStateSucceeded", frame, frame.last_id)
    run.check_size(output, state.name)
    result = orjson.loads(output)
    left = state.flow.leave(run.scope(frame, state, retry_count=frame.retries), result)
    run.leave(frame, state, left, state.next, result, output)


def start_iterations(run: Run, frame: Frame, state: MapState, previous_id: int) -> None:
    """As many as may run at once."""
    container = frame.container
    assert container is not None
    assert container.items is not None
    while container.next_index < container.length and len(container.children) < container.limit:
        index = container.next_index
        value = container.items[index]
        if state.item_selector is not None:
            item = MapItem(index, value, container.keys[index] if container.keys is not None else None)
            scope = run.scope(frame, state, retry_count=frame.retries, item=item)
            effective = state.flow.effective_input(scope)
            value = state.item_selector.evaluate(scope if effective is scope.input else scope.narrowed(effective))
        details = {"name": state.name, "index": index}
        facts = {"start": state.processor.start_at, "input": to_text(value)}
        run.emit("MapIterationStarted", frame, previous_id, details, facts)
