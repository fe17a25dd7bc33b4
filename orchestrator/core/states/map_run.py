"""A distributed Map's run: each item, or batch of items, is an execution of its own that the shell starts.

The container's items are the inputs of these children. Children that have ended are its results; one that failed has
None there and counts against the tolerance.
Source: Step Functions Developer Guide, "Distributed mode".
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import orjson

from hearth.asl import errors
from hearth.asl.definition import ItemBatcher, ItemReader, MapItem, MapState
from hearth.asl.scope import Json, Scope
from orchestrator.core.effects import FinishMapRun, RedriveMapRun, StartChild, StartMapRun, WriteResults
from orchestrator.core.evolve import CHILD_ENDED, CHILDREN_STARTED, ITEMS_FOUND, LIMITS_CHANGED
from orchestrator.core.failure import Failure, fail
from orchestrator.core.run import Run, to_text
from orchestrator.core.signals import ChildEnded, ItemsRead, MapRunUpdated
from orchestrator.core.state import Container, Frame

#: Map.Item.Source of items that no reader has read
_OWN_DATA = "STATE_DATA"
#: children that run at once unless the definition says fewer. AWS's bound is 10,000
MAX_CONCURRENCY = 1000


def start(run: Run, frame: Frame, state: MapState, scope: Scope, limit: int) -> None:
    """scope: with the effective input. limit: MaxConcurrency, 0 if none."""
    items: list[MapItem] = [] if state.item_reader else state.items.items(scope)
    facts = {"items": [], "limit": min(limit or MAX_CONCURRENCY, MAX_CONCURRENCY)}
    run.emit("MapStateStarted", frame, frame.last_id, {"length": len(items)}, facts)
    count = state.tolerated_failure_count.evaluate(scope) if state.tolerated_failure_count else 0
    percentage = state.tolerated_failure_percentage.evaluate(scope) if state.tolerated_failure_percentage else 0.0
    if count or percentage:
        run.note(LIMITS_CHANGED, frame, {"limit": facts["limit"], "tolerance": (count, percentage)})
    reader = None if state.item_reader is None else _reader(state.item_reader, scope)
    label = state.label or str(_uuid(run))
    identity = run.state.identity
    arn = f"{identity.state_machine_arn.replace(':stateMachine:', ':mapRun:', 1)}/{label}:{_uuid(run)}"
    task_id = run.emit("MapRunStarted", frame, frame.last_id, {"mapRunArn": arn})
    execution_type = str(state.processor.execution_type)
    refused = reader is not None and (reader["ReaderConfig"].get("MaxItems") or 0) < 0
    asked = None if refused else reader
    run.perform(StartMapRun(task_id, state.name, arn, label, execution_type, asked, limit, count, float(percentage)))
    if refused:
        failed(run, frame, state, errors.ITEM_READER_FAILED, "field MaxItems must be positive")
    elif reader is None:
        _begin(run, frame, state, scope, [replace(item, source=_OWN_DATA) for item in items])


def items_read(run: Run, frame: Frame, state: MapState, read: ItemsRead) -> None:
    """The ItemReader's answer."""
    scope = run.scope(frame, state, retry_count=frame.retries)
    effective = state.flow.effective_input(scope)
    narrowed = scope if effective is scope.input else scope.narrowed(effective)
    keys = read.keys
    items = [
        MapItem(index, value, keys[index] if keys is not None else None, read.source)
        for index, value in enumerate(read.items)
    ]
    _begin(run, frame, state, narrowed, items)


def child_ended(run: Run, frame: Frame, state: MapState, signal: ChildEnded) -> None:
    """A child has closed: start the next one, or end the run."""
    container = _container(frame)
    if signal.index in container.results or signal.index >= container.next_index:
        return
    output: str | None = None
    if signal.status == "SUCCEEDED":
        # with a ResultWriter the outputs stay with the children
        output = "null" if _writes(state) else signal.output or "null"
    items = _item_count(state, (container.items or [])[signal.index])
    facts = {"index": signal.index, "output": output, "failed": 0 if output is not None else items}
    run.note(CHILD_ENDED, frame, facts)
    if container.failed and _intolerable(state, container):
        cause = "The specified tolerated failure threshold was exceeded"
        failed(run, frame, state, errors.EXCEED_TOLERATED_FAILURE_THRESHOLD, cause)
    else:
        _go_on(run, frame, state)


def ended_late(run: Run, signal: ChildEnded) -> None:
    """A child has succeeded after its run had failed: a redrive is not to repeat it."""
    for frame in run.state.frames.values():
        container = frame.container
        if container is None or container.run_id != signal.task_id or signal.index in container.results:
            continue
        if signal.status == "SUCCEEDED":
            state = run.definition.state(frame.state)
            assert isinstance(state, MapState)
            output = "null" if _writes(state) else signal.output or "null"
            run.note(CHILD_ENDED, frame, {"index": signal.index, "output": output, "failed": 0})
        return


def redrive(run: Run, frame: Frame, state: MapState) -> None:
    """Go on with the children that failed, were stopped or have not been started."""
    container = _container(frame)
    details = {"mapRunArn": container.run_arn, "redriveCount": container.redrives + 1}
    run.emit("MapRunRedriven", frame, frame.last_id, details)
    task_id = frame.task_id
    execution_type = str(state.processor.execution_type)
    run.perform(RedriveMapRun(task_id, state.name, container.run_arn, execution_type))
    for index in range(container.next_index):
        if index not in container.results:
            value = (container.items or [])[index]
            run.perform(StartChild(task_id, index, to_text(value), _item_count(state, value), again=True))
    _go_on(run, frame, state)


def updated(run: Run, frame: Frame, state: MapState, signal: MapRunUpdated) -> None:
    """UpdateMapRun: new limits for what has not been started."""
    container = _container(frame)
    limit, (count, percentage) = container.limit, container.tolerance
    if signal.max_concurrency is not None:
        limit = min(signal.max_concurrency or MAX_CONCURRENCY, MAX_CONCURRENCY)
    if signal.tolerated_failure_count is not None:
        count = signal.tolerated_failure_count
    if signal.tolerated_failure_percentage is not None:
        percentage = signal.tolerated_failure_percentage
    run.note(LIMITS_CHANGED, frame, {"limit": limit, "tolerance": (count, percentage)})
    _go_on(run, frame, state)


def failed(run: Run, frame: Frame, state: MapState, error: str, cause: str) -> None:
    """The run has failed: its items can't be read, its results not be written, or too many children failed."""
    task_id = frame.task_id
    event_id = run.emit("MapRunFailed", frame, frame.last_id, {"error": error, "cause": cause})
    run.perform(FinishMapRun(task_id, "FAILED"))
    fail(run, frame, state, Failure(error, cause, event_id))


def finish(run: Run, frame: Frame, state: MapState, output: str) -> None:
    """All children have closed and the results are written. output: the Map's result, JSON text."""
    task_id = frame.task_id
    event_id = run.emit("MapRunSucceeded", frame, frame.last_id)
    run.perform(FinishMapRun(task_id, "SUCCEEDED"))
    run.emit("MapStateSucceeded", frame, event_id)
    run.check_size(output, state.name)
    result = orjson.loads(output)
    left = state.flow.leave(run.scope(frame, state, retry_count=frame.retries), result)
    run.leave(frame, state, left, state.next, result, output)


def _begin(run: Run, frame: Frame, state: MapState, scope: Scope, items: list[MapItem]) -> None:
    values = [item.input() for item in items]
    if state.item_selector is not None:
        selector = state.item_selector
        values = []
        for item in items:
            item_scope = run.scope(frame, state, retry_count=frame.retries, item=item)
            values.append(selector.evaluate(item_scope.narrowed(scope.input)))
    if state.item_batcher is not None:
        values = _batches(state.item_batcher, scope, values)
    run.note(ITEMS_FOUND, frame, {"items": values})
    _go_on(run, frame, state)


def _go_on(run: Run, frame: Frame, state: MapState) -> None:
    container = _container(frame)
    assert container.items is not None
    running = container.next_index - len(container.results)
    until = min(container.length, container.next_index + max(0, container.limit - running))
    if until > container.next_index:
        for index in range(container.next_index, until):
            value = container.items[index]
            run.perform(StartChild(frame.task_id, index, to_text(value), _item_count(state, value)))
        run.note(CHILDREN_STARTED, frame, {"until": until})
    elif len(container.results) == container.length:
        if _writes(state):
            run.perform(WriteResults(frame.task_id, _writer(run, frame, state)))
        else:
            finish(run, frame, state, _compact(state, container))


def _compact(state: MapState, container: Container) -> str:
    """The children's outputs, in the order of the items, without those that failed."""
    outputs = [container.results[index] for index in range(container.length)]
    succeeded = [output for output in outputs if output is not None]
    if state.result_writer is not None and state.result_writer.config.get("Transformation") == "FLATTEN":
        flat: list[Json] = []
        for value in map(orjson.loads, succeeded):
            flat.extend(value if isinstance(value, list) else [value])
        return to_text(flat)
    return f"[{','.join(succeeded)}]"


def _intolerable(state: MapState, container: Container) -> bool:
    count, percentage = container.tolerance
    if not count and not percentage:
        return True
    total = sum(_item_count(state, value) for value in container.items or [])
    return bool((count and container.failed > count) or (percentage and container.failed * 100 > percentage * total))


def _batches(batcher: ItemBatcher, scope: Scope, values: list[Json]) -> list[Json]:
    """As many items a batch as both limits allow."""
    most = batcher.max_items.evaluate(scope) if batcher.max_items else 0
    most_bytes = batcher.max_input_bytes.evaluate(scope) if batcher.max_input_bytes else 0
    shared = {} if batcher.batch_input is None else {"BatchInput": batcher.batch_input.evaluate(scope)}
    base_bytes = len(orjson.dumps(shared | {"Items": []}))
    batches: list[Json] = []
    batch: list[Json] = []
    used_bytes = base_bytes
    for value in values:
        value_bytes = len(to_text(value).encode()) + 1 if most_bytes else 0
        if batch and ((most and len(batch) == most) or (most_bytes and used_bytes + value_bytes > most_bytes)):
            batches.append(shared | {"Items": batch})
            batch, used_bytes = [], base_bytes
        batch.append(value)
        used_bytes += value_bytes
    return [*batches, shared | {"Items": batch}] if batch else batches


def _reader(reader: ItemReader, scope: Scope) -> dict[str, Any]:
    described: dict[str, Any] = {
        "Resource": reader.resource.arn,
        "ReaderConfig": dict(reader.config),
        "Parameters": reader.arguments.evaluate(scope),
    }
    if reader.max_items is not None:
        described["ReaderConfig"]["MaxItems"] = reader.max_items.evaluate(scope)
    return described


def _writes(state: MapState) -> bool:
    return state.result_writer is not None and state.result_writer.resource is not None


def _writer(run: Run, frame: Frame, state: MapState) -> dict[str, Any]:
    writer = state.result_writer
    assert writer is not None
    assert writer.resource is not None
    scope = run.scope(frame, state, retry_count=frame.retries)
    return {
        "Resource": writer.resource.arn,
        "Parameters": {} if writer.arguments is None else writer.arguments.evaluate(scope),
        "WriterConfig": dict(writer.config),
    }


def _item_count(state: MapState, value: Json) -> int:
    return len(value["Items"]) if state.item_batcher is not None else 1


def _container(frame: Frame) -> Container:
    assert frame.container is not None
    return frame.container


def _uuid(run: Run) -> uuid.UUID:
    return uuid.UUID(int=int(run.draw() * 2**64) << 64 | int(run.draw() * 2**64), version=4)
