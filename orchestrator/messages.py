"""Messages of an inbox as signals of the core: {"signal": NAME, members…} in JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from orchestrator.core import signals

#: the first message of an execution; no signal of the core, which is started by it
START = "Start"
_SIGNALS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        signals.TaskStarted,
        signals.TaskSucceeded,
        signals.TaskFailed,
        signals.TaskHeartbeat,
        signals.StopRequested,
        signals.RedriveRequested,
        signals.ChildEnded,
        signals.MapRunUpdated,
    )
}


def read_message(body: bytes) -> signals.Signal | None:
    """None: START. Raises ValueError for what isn't ours."""
    raw: dict[str, Any] = orjson.loads(body)
    name = raw.pop("signal", "")
    if name == START:
        return None
    kind = _SIGNALS.get(name)
    if kind is None:
        raise ValueError(f"no such signal: {name}")
    try:
        signal: signals.Signal = kind(**raw)
    except TypeError as exc:
        raise ValueError(str(exc)) from exc
    return signal


def write_message(signal: signals.Signal) -> bytes:
    """Members that are None are left out."""
    members = {name: value for name, value in _members(signal).items() if value is not None}
    return orjson.dumps({"signal": type(signal).__name__, **members})


def _members(signal: signals.Signal) -> dict[str, Any]:
    return {field.name: getattr(signal, field.name) for field in dataclasses.fields(signal)}
