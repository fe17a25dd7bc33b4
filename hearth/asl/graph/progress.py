"""How far each state of an execution has come, read from its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hearth.model.history import details_member

_CLOSED_BADLY = frozenset({"ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"})


def progress(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """State -> SUCCEEDED (it was left), RUNNING, or FAILED (the execution has ended in it).

    events: GetExecutionHistory's. Of a state that was entered several times the last time counts, unless one of them,
    as of a Map's iterations, is not over.
    """
    open_entries: dict[str, int] = {}
    statuses: dict[str, str] = {}
    for event in events:
        kind: str = event["type"]
        if kind in _CLOSED_BADLY:
            statuses |= dict.fromkeys((name for name, count in open_entries.items() if count), "FAILED")
        elif kind == "ExecutionRedriven":
            statuses |= dict.fromkeys((name for name, count in open_entries.items() if count), "RUNNING")
        elif kind.endswith(("StateEntered", "StateExited")):
            name: str = event[details_member(kind) or ""]["name"]
            entered = kind.endswith("StateEntered")
            open_entries[name] = max(0, open_entries.get(name, 0) + (1 if entered else -1))
            statuses[name] = "RUNNING" if open_entries[name] else "SUCCEEDED"
    return statuses
