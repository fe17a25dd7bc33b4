"""What reaches an execution from outside. The shell hands signals to `decide`; one that comes too late changes nothing.

A task is named by `task_id`, the id of its Scheduled event (for a map run: of its MapRunStarted event): unique in the
execution, also after a redrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A worker took an activity's task; other tasks count as started once they are scheduled."""

    task_id: int
    worker_name: str | None = None


@dataclass(frozen=True, slots=True)
class TaskSubmitted:
    """The API call of a `.sync` or `.waitForTaskToken` task returned. output: its response, JSON text."""

    task_id: int
    output: str


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """output: JSON text, kept as it is."""

    task_id: int
    output: str


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """stage: what failed, the task itself ("") or already its "Schedule", "Start" or "Submit"."""

    task_id: int
    error: str | None = None
    cause: str | None = None
    stage: str = ""


@dataclass(frozen=True, slots=True)
class TaskHeartbeat:
    """SendTaskHeartbeat: the task has its whole HeartbeatSeconds again."""

    task_id: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """timer: the name that SetTimer gave it."""

    timer: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """StopExecution."""

    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class RedriveRequested:
    """RedriveExecution of a closed execution; whether it is allowed is the shell's to say."""


@dataclass(frozen=True, slots=True)
class ItemsRead:
    """What a distributed Map's ItemReader found: JSON values, and the URI of the object they came from.

    keys: the names of the values if they are a JSON object's members.
    """

    task_id: int
    items: list[Any]
    source: str = "STATE_DATA"
    keys: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A distributed Map's child execution closed. status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""

    task_id: int
    index: int
    status: str
    output: str | None = None
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class ResultsWritten:
    """The ResultWriter is done. output: JSON text of the Map state's result."""

    task_id: int
    output: str


@dataclass(frozen=True, slots=True)
class MapRunFailed:
    """The ItemReader or the ResultWriter failed. error: States.ItemReaderFailed or States.ResultWriterFailed."""

    task_id: int
    error: str
    cause: str


@dataclass(frozen=True, slots=True)
class MapRunUpdated:
    """UpdateMapRun; None leaves a limit as it is."""

    task_id: int
    max_concurrency: int | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on after a decision that was `unfinished`."""


Signal = (
    TaskStarted
    | TaskSubmitted
    | TaskSucceeded
    | TaskFailed
    | TaskHeartbeat
    | TimerFired
    | StopRequested
    | RedriveRequested
    | ItemsRead
    | ChildEnded
    | ResultsWritten
    | MapRunFailed
    | MapRunUpdated
    | Continue
)

_KINDS: dict[str, type[Signal]] = {
    kind.__name__: kind
    for kind in (
        TaskStarted,
        TaskSubmitted,
        TaskSucceeded,
        TaskFailed,
        TaskHeartbeat,
        TimerFired,
        StopRequested,
        RedriveRequested,
        ItemsRead,
        ChildEnded,
        ResultsWritten,
        MapRunFailed,
        MapRunUpdated,
        Continue,
    )
}


def dump_signal(signal: Signal) -> bytes:
    """For a queue."""
    return orjson.dumps((type(signal).__name__, signal))


def load_signal(record: bytes) -> Signal:
    kind, members = orjson.loads(record)
    return _KINDS[kind](**members)
