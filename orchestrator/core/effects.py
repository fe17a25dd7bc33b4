"""What a decision asks the shell to do once its events are committed. Each is idempotent by the ids it carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from hearth.model.history import HistoryEvent


@dataclass(frozen=True, slots=True)
class StartTask:
    """Run a Task state's work; its outcome comes back as signals with the same task_id."""

    task_id: int
    state: str
    #: the definition's Resource, whole; what follows is it taken apart (hearth.asl.definition.Resource)
    resource: str
    #: a ResourceKind: "lambda-function", "activity", "service" or "aws-sdk"
    kind: str
    #: JSON text: the function's payload, the activity's input, or the API's parameters
    parameters: str
    #: "lambda" / "invoke", "s3" / "getObject", "states" / "startExecution"; "" of functions and activities
    service: str = ""
    action: str = ""
    #: "", "sync", "sync:2" or "waitForTaskToken"
    pattern: str = ""
    #: what ends the task from outside (hearth.model.task_token); "" if this task has none
    token: str = ""
    #: Credentials.RoleArn; None: the execution's own role
    role_arn: str | None = None
    timeout_s: int | None = None
    heartbeat_s: int | None = None


@dataclass(frozen=True, slots=True)
class CancelTask:
    """The task's outcome no longer matters: void its token, take it from its activity's queue, stop a `.sync` child."""

    task_id: int


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send TimerFired(timer) at due_ms (epoch); one timer a name, a later SetTimer moves it."""

    timer: str
    due_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    timer: str


@dataclass(frozen=True, slots=True)
class StartMapRun:
    """A distributed Map began: record its map run. Children follow as StartChild, or after ItemsRead.

    reader: {"Resource", "ReaderConfig", "Parameters" (evaluated)} of the ItemReader to read and answer with ItemsRead
    or MapRunFailed; None: the state's own data are the items.
    """

    task_id: int
    state: str
    map_run_arn: str
    label: str
    #: STANDARD or EXPRESS: what the children are
    execution_type: str
    reader: dict[str, Any] | None
    max_concurrency: int
    tolerated_failure_count: int
    tolerated_failure_percentage: float


@dataclass(frozen=True, slots=True)
class RedriveMapRun:
    """A map run that had failed goes on. StartChild with `again` follows for each child that has to."""

    task_id: int
    state: str
    map_run_arn: str
    execution_type: str


@dataclass(frozen=True, slots=True)
class StartChild:
    """Run one item (or batch) of a map run as a child execution; answered by ChildEnded. input: JSON text."""

    task_id: int
    index: int
    input: str
    #: how many items it holds: 1 unless batched
    item_count: int = 1
    #: redrive the execution that this child was
    again: bool = False


@dataclass(frozen=True, slots=True)
class WriteResults:
    """All children of a map run closed: carry its ResultWriter out, answered by ResultsWritten or MapRunFailed."""

    task_id: int
    #: {"Resource", "Parameters" (evaluated), "WriterConfig"}
    writer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FinishMapRun:
    """status: SUCCEEDED, FAILED or ABORTED; children that still run are stopped."""

    task_id: int
    status: str


@dataclass(frozen=True, slots=True)
class ExecutionEnded:
    """The execution is closed. status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED. output: JSON text."""

    status: str
    output: str | None = None
    error: str | None = None
    cause: str | None = None


Effect = (
    StartTask
    | CancelTask
    | SetTimer
    | CancelTimer
    | StartMapRun
    | RedriveMapRun
    | StartChild
    | WriteResults
    | FinishMapRun
    | ExecutionEnded
)

_KINDS: dict[str, type[Effect]] = {
    kind.__name__: kind
    for kind in (
        StartTask,
        CancelTask,
        SetTimer,
        CancelTimer,
        StartMapRun,
        RedriveMapRun,
        StartChild,
        WriteResults,
        FinishMapRun,
        ExecutionEnded,
    )
}


def dump_effect(effect: Effect) -> bytes:
    """For the outbox."""
    return orjson.dumps((type(effect).__name__, effect))


def load_effect(record: bytes) -> Effect:
    kind, members = orjson.loads(record)
    return _KINDS[kind](**members)


class Decision:
    """What `decide` answers: events to append, then effects to perform, in one commit with the state's changes."""

    __slots__ = ("effects", "events", "unfinished")

    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []
        self.effects: list[Effect] = []
        #: there is more to do at once: commit, let others have their turn, then send Continue
        self.unfinished = False
