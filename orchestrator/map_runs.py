"""A Distributed Map's run in the store: its record, its child executions, and their counts.

A child is started in the commit that decides to start it: its record, its lists and the first message of its inbox are
written with its parent's state. Its name comes from the run and the item's index.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from hearth.model.execution import Execution, Snapshot, Status, shard_of
from hearth.model.workflow_arn import WorkflowArn, parse_workflow_arn
from hearth.store import keys
from hearth.store.workflow_shards import Commit
from orchestrator.core import effects, signals
from orchestrator.orders import MAP_RUN, Order, dump_order

_COUNTED = {"SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timedOut", "ABORTED": "aborted"}
_NAMES = uuid.UUID("d2d1a3d7-9a3b-4f55-8f39-0f2a2b9c6b11")


def begin(commit: Commit, execution: Execution, snapshot: Snapshot, effect: effects.StartMapRun, now_ms: int) -> Order:
    """Record the run; the order keeps what its children need."""
    own = child_snapshot(snapshot, effect.state, effect.label, effect.execution_type)
    run = keys.map_run(effect.map_run_arn)
    fields: dict[str, Any] = {
        "execution": execution.arn,
        "machine": own.machine_arn,
        "task": effect.task_id,
        "status": "RUNNING",
        "started": now_ms,
        "max_concurrency": effect.max_concurrency,
        "tolerated_failure_count": effect.tolerated_failure_count,
        "tolerated_failure_percentage": effect.tolerated_failure_percentage,
    }
    commit.add("HSET", run, *(item for pair in fields.items() for item in pair))
    commit.add("ZADD", keys.map_runs(execution.arn), now_ms, effect.map_run_arn)
    commit.add("SET", keys.snapshot(own.key()), own.to_json())
    return _order(commit, execution, own, effect, effect.reader)


def redrive(
    commit: Commit, execution: Execution, snapshot: Snapshot, effect: effects.RedriveMapRun, now_ms: int
) -> Order:
    """It runs again, under the same ARN."""
    run = keys.map_run(effect.map_run_arn)
    arn = parse_workflow_arn(effect.map_run_arn)
    assert arn is not None
    commit.add("HSET", run, "status", "RUNNING", "redriven", now_ms)
    commit.add("HDEL", run, "stopped")
    commit.add("HINCRBY", run, "redrives", 1)
    commit.unfinished(effect.map_run_arn, False)
    own = child_snapshot(snapshot, effect.state, arn.label, effect.execution_type)
    return _order(commit, execution, own, effect, None)


def _order(
    commit: Commit,
    execution: Execution,
    own: Snapshot,
    effect: effects.StartMapRun | effects.RedriveMapRun,
    reader: dict[str, Any] | None,
) -> Order:
    more = {
        "map_run": effect.map_run_arn,
        "machine": own.machine_arn,
        "type": effect.execution_type,
        "snapshot": own.key(),
        "reader": reader,
        "writer": None,
        "items": {},
    }
    order = Order(effect.task_id, MAP_RUN, effect.state, execution=execution.arn, more=more)
    commit.task(order.task_id, dump_order(order), "")
    return order


def start_child(commit: Commit, order: Order, effect: effects.StartChild, shards: int, now_ms: int) -> None:
    more = order.more
    name = str(uuid.uuid5(_NAMES, f"{more['map_run']}#{effect.index}"))
    machine = parse_workflow_arn(more["machine"])
    assert machine is not None
    express = more["type"] == "EXPRESS"
    rest = f"{name}:{uuid.uuid5(_NAMES, name)}" if express else name
    arn = str(WorkflowArn(machine.region, machine.account, "express" if express else "execution", machine.name, rest))
    child = Execution(
        arn=arn,
        machine_arn=more["machine"],
        name=name,
        input=effect.input,
        started_at_ms=now_ms,
        snapshot=more["snapshot"],
        map_run_arn=more["map_run"],
        parent={"execution": order.execution, "task": str(order.task_id), "index": str(effect.index)},
        item_count=effect.item_count,
    )
    if effect.again:
        _reopen(commit, child, now_ms)
    else:
        commit.add("HSET", keys.execution(arn), "start", child.to_json(), "status", "RUNNING", "version", 0)
    for owner in child.lists:
        commit.add("ZADD", keys.executions(owner), now_ms, arn)
        commit.add("ZADD", keys.executions(owner, Status.RUNNING), now_ms, arn)
    commit.add("INCR", keys.executions_open(machine.account, machine.region))
    message = {"signal": "RedriveRequested" if effect.again else "Start"}
    commit.message(shard_of(arn, shards), arn, orjson.dumps(message))
    if effect.item_count != 1:
        more["items"][str(effect.index)] = effect.item_count
    _count(commit, order, {"running": 1} if effect.again else {"running": 1, "total": 1}, effect.item_count)


def _reopen(commit: Commit, child: Execution, now_ms: int) -> None:
    """As execution_redrive does, of a child that had failed or been stopped."""
    key = keys.execution(child.arn)
    commit.add("HSET", key, "status", "RUNNING", "redriven", now_ms)
    commit.add("HINCRBY", key, "redrives", 1)
    commit.add("HDEL", key, "stopped", "error", "cause", "output")
    commit.add("ZREM", keys.WORKFLOWS_CLOSED, child.arn)
    commit.add("ZREM", keys.WORKFLOWS_UNARCHIVED, child.arn)
    for owner in child.lists:
        for status in (Status.FAILED, Status.TIMED_OUT, Status.ABORTED):
            commit.add("ZREM", keys.executions(owner, status), child.arn)


def child_ended(commit: Commit, order: Order, signal: signals.ChildEnded) -> None:
    changes = {"running": -1, _COUNTED[signal.status]: 1}
    if signal.status == "SUCCEEDED":
        changes["resultsWritten"] = 1
    _count(commit, order, changes, order.more["items"].get(str(signal.index), 1))


def updated(commit: Commit, order: Order, signal: signals.MapRunUpdated) -> None:
    for name in ("max_concurrency", "tolerated_failure_count", "tolerated_failure_percentage"):
        if (value := getattr(signal, name)) is not None:
            commit.add("HSET", keys.map_run(order.more["map_run"]), name, value)


def finish(commit: Commit, order: Order, status: str, now_ms: int) -> None:
    run = order.more["map_run"]
    commit.add("HSET", keys.map_run(run), "status", status, "stopped", now_ms)
    if status != "SUCCEEDED":
        commit.unfinished(run, True)  # until its children have been asked to stop


def child_snapshot(parent: Snapshot, state: str, label: str, execution_type: str) -> Snapshot:
    """The machine that a Map's children run: its processor, under the machine's name and the map's label."""
    definition = orjson.loads(parent.definition)
    mapping = _map_state(definition, state)
    processor = dict(mapping.get("ItemProcessor") or mapping.get("Iterator") or {})
    processor.pop("ProcessorConfig", None)
    if "QueryLanguage" in definition:
        processor["QueryLanguage"] = definition["QueryLanguage"]
    return Snapshot(
        machine_arn=f"{parent.machine_arn.partition('/')[0]}/{label}",
        name=f"{parent.name.partition('/')[0]}/{label}",
        type=execution_type,
        definition=orjson.dumps(processor).decode(),
        role_arn=parent.role_arn,
        logging=parent.logging,
        tracing=parent.tracing,
        encryption=parent.encryption,
        updated_at_ms=parent.updated_at_ms,
        revision_id=parent.revision_id,
    )


def _map_state(container: dict[str, Any], name: str) -> dict[str, Any]:
    """A state of this name at any depth; names are unique in a definition."""
    states: dict[str, Any] = container.get("States") or {}
    if name in states:
        found: dict[str, Any] = states[name]
        return found
    for state in states.values():
        inside = [*(state.get("Branches") or ()), state.get("ItemProcessor"), state.get("Iterator")]
        for one in inside:
            if isinstance(one, dict) and (deeper := _map_state(one, name)):
                return deeper
    return {}


def _count(commit: Commit, order: Order, changes: dict[str, int], items: int) -> None:
    run = keys.map_run(order.more["map_run"])
    for name, change in changes.items():
        commit.add("HINCRBY", run, f"executions.{name}", change)
        commit.add("HINCRBY", run, f"items.{name}", change * items)
