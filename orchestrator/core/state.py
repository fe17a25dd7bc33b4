"""Where an execution stands: small, serialisable in pieces, and changed by `evolve` alone.

An execution is a tree of frames. A frame is one chain of states: the execution's own (0), a Parallel's branch, an
inline Map's iteration. Each knows the state it is in, its data as JSON text, and the event its next one follows.

Pieces: what is stored is a mapping of short names to bytes. A decision touches few frames, so a commit writes few
pieces, and costs the same however long the history or however many the items:
    head     status, counters, frames ready to go on
    about    the execution's identity and input, written once and on a redrive
    f:{n}    frame n without its data     t:{n}  its data, JSON text       v:{n}  its variables
    m:{n}    the items of the Map that frame n is in                       r:{n}:{i}  result of its child i
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

#: a value that has not been parsed from its text yet
UNPARSED: Any = object()


class Piece:
    """Bits of Frame.dirty: which pieces differ from what is stored."""

    FRAME, TEXT, VARIABLES, ITEMS = 1, 2, 4, 8


_PREFIXES = ("f", "t", "v", "m")


class Phase(enum.IntEnum):
    """What a frame is doing. READY, RESUMING: something at once; the others wait for a signal or for nothing."""

    READY = 0
    RUNNING = 1
    TASK = 2
    WAITING = 3
    RETRYING = 4
    CHILDREN = 5
    DONE = 6
    STOPPED = 7
    RESUMING = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """What an execution knows of itself from its start; the Context object is made of it. Times in epoch ms."""

    arn: str
    name: str
    role_arn: str
    state_machine_arn: str
    state_machine_name: str
    started_at_ms: int
    #: makes task tokens and random numbers of this execution its own; never shown
    secret: str
    express: bool = False
    #: set when it was started through a version or an alias
    version_arn: str | None = None
    alias_arn: str | None = None
    #: ARNs of the map run whose child it is
    map_run_arn: str | None = None
    #: limits: events in its history (Express has no such limit), bytes of a state's data, how long it may run
    max_events: int = 25_000
    max_data_bytes: int = 262_144
    max_duration_s: int = 31_536_000


class Container:
    """What a Map or Parallel state knows of its children while it runs."""

    __slots__ = (
        "children",
        "failed",
        "items",
        "keys",
        "length",
        "limit",
        "next_index",
        "redrives",
        "results",
        "run_arn",
        "run_id",
        "tolerance",
    )

    def __init__(
        self, length: int, limit: int = 0, items: list[Any] | None = None, keys: list[str] | None = None
    ) -> None:
        self.length = length
        #: how many may run at once; 0: all
        self.limit = limit
        self.next_index = 0
        #: index -> frame of those that have begun and are not done; a distributed Map's children are no frames
        self.children: dict[int, int] = {}
        #: index -> output, JSON text; None: a distributed Map's child failed
        self.results: dict[int, str | None] = {}
        #: a Map's; of a distributed one the inputs of its children
        self.items = items
        #: the keys they have in the object that is iterated over
        self.keys = keys
        self.failed = 0
        #: (count, percentage) of failed children that a distributed Map bears
        self.tolerance: tuple[int, float] = (0, 0.0)
        #: of a distributed Map's run: its ARN, and its task id, which it keeps through redrives
        self.run_arn = ""
        self.run_id = 0
        self.redrives = 0


class Frame:
    """One chain of states."""

    __slots__ = (
        "attempts",
        "container",
        "dirty",
        "due_ms",
        "entered_at_ms",
        "entered_id",
        "entered_previous_id",
        "heartbeat_s",
        "id",
        "index",
        "last_id",
        "next",
        "parent",
        "phase",
        "retries",
        "state",
        "task_id",
        "text",
        "timeout_s",
        "value",
        "variables",
    )

    def __init__(self, id: int, parent: int, index: int, next: str, text: str, last_id: int) -> None:
        self.id = id
        #: the frame whose Map or Parallel state it belongs to; -1 for the execution's own
        self.parent = parent
        #: which branch or iteration
        self.index = index
        self.phase = Phase.READY
        #: the state it is in, or was in last
        self.state = ""
        #: the state it enters next
        self.next: str | None = next
        #: the raw input of its state, or its output once it has left; JSON text
        self.text = text
        self.value: Any = UNPARSED
        #: the id that its next event names as previous
        self.last_id = last_id
        self.entered_id = 0
        self.entered_previous_id = 0
        self.entered_at_ms = 0
        #: when a Wait or a retry's delay is over
        self.due_ms = 0
        #: id of the Scheduled event of the task it waits for; 0: none
        self.task_id = 0
        self.timeout_s = 0
        self.heartbeat_s = 0
        #: retrier -> attempts it has granted in this state; their sum is the Context object's RetryCount
        self.attempts: dict[int, int] = {}
        self.retries = 0
        #: those assigned in this frame; None: none
        self.variables: dict[str, Any] | None = None
        self.container: Container | None = None
        self.dirty = Piece.FRAME | Piece.TEXT

    def data(self) -> Any:
        """The frame's data, parsed; not to be changed by anybody."""
        if self.value is UNPARSED:
            self.value = orjson.loads(self.text)
        return self.value


class ExecutionState:
    """The whole of it. Read by everybody, written by `evolve` alone."""

    __slots__ = (
        "cause",
        "changed",
        "cut",
        "error",
        "frames",
        "identity",
        "input",
        "input_value",
        "next_event_id",
        "next_frame_id",
        "output",
        "ready",
        "redriven_at_ms",
        "redrives",
        "status",
        "stored_about",
        "tasks",
    )

    def __init__(self, identity: Identity, input: str) -> None:
        self.identity = identity
        #: JSON text as the caller sent it
        self.input = input
        self.input_value: Any = UNPARSED
        #: "" before ExecutionStarted, then RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED
        self.status = ""
        self.output: str | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.redrives = 0
        self.redriven_at_ms = 0
        self.next_event_id = 1
        self.next_frame_id = 1
        self.frames: dict[int, Frame] = {}
        #: frames that can go on at once, in their order
        self.ready: deque[int] = deque()
        #: task id -> frame that waits for it
        self.tasks: dict[int, int] = {}
        #: ids of frames with changed pieces
        self.changed: set[int] = set()
        #: pieces that are gone, and results that have come
        self.cut: dict[str, bytes | None] = {}
        self.stored_about = False

    @property
    def closed(self) -> bool:
        return self.status not in ("", "RUNNING")

    def take_changes(self) -> dict[str, bytes | None]:
        """The pieces that differ since the last call (since `load`): name -> bytes to store, None to delete."""
        changes = self.cut
        self.cut = {}
        changes["head"] = orjson.dumps(
            (
                self.status,
                self.next_event_id,
                self.next_frame_id,
                list(self.ready),
                self.output,
                self.error,
                self.cause,
            )
        )
        if not self.stored_about:
            self.stored_about = True
            changes["about"] = orjson.dumps((asdict(self.identity), self.input, self.redrives, self.redriven_at_ms))
        for id in self.changed:
            frame = self.frames.get(id)
            if frame is None:
                for prefix in _PREFIXES:
                    changes[f"{prefix}:{id}"] = None
                continue
            if frame.dirty & Piece.FRAME:
                changes[f"f:{id}"] = _dump_frame(frame)
            if frame.dirty & Piece.TEXT:
                changes[f"t:{id}"] = frame.text.encode()
            if frame.dirty & Piece.VARIABLES:
                changes[f"v:{id}"] = None if frame.variables is None else orjson.dumps(frame.variables)
            if frame.dirty & Piece.ITEMS:
                changes[f"m:{id}"] = _dump_items(frame.container)
            frame.dirty = 0
        self.changed.clear()
        return changes

    @classmethod
    def load(cls, pieces: Mapping[str, bytes]) -> ExecutionState:
        """From all pieces that are stored."""
        identity, input, redrives, redriven_at_ms = orjson.loads(pieces["about"])
        state = cls(Identity(**identity), input)
        state.redrives, state.redriven_at_ms = redrives, redriven_at_ms
        state.stored_about = True
        head = orjson.loads(pieces["head"])
        state.status, state.next_event_id, state.next_frame_id, ready, state.output, state.error, state.cause = head
        state.ready.extend(ready)
        for name, piece in pieces.items():
            if name.startswith("f:"):
                id = int(name[2:])
                state.frames[id] = _load_frame(id, piece, pieces)
        state._load_children(pieces)
        return state

    def _load_children(self, pieces: Mapping[str, bytes]) -> None:
        for frame in sorted(self.frames.values(), key=lambda frame: frame.id):
            if frame.task_id:
                self.tasks[frame.task_id] = frame.id
            if frame.parent >= 0 and (container := self.frames[frame.parent].container) is not None:
                container.children[frame.index] = frame.id
        for name, piece in pieces.items():
            if name.startswith("r:"):
                id, _, index = name[2:].partition(":")
                if (container := self.frames[int(id)].container) is not None:
                    container.results[int(index)] = piece.decode() if piece else None


def _dump_frame(frame: Frame) -> bytes:
    container = frame.container
    return orjson.dumps(
        (
            (
                frame.parent,
                frame.index,
                frame.phase,
                frame.state,
                frame.next,
                frame.last_id,
                frame.entered_id,
                frame.entered_previous_id,
                frame.entered_at_ms,
                frame.due_ms,
                frame.task_id,
                frame.timeout_s,
                frame.heartbeat_s,
                list(frame.attempts.items()),
                frame.retries,
            ),
            container
            and (
                container.length,
                container.limit,
                container.next_index,
                container.failed,
                container.tolerance,
                container.run_arn,
                container.run_id,
                container.redrives,
            ),
        )
    )


def _dump_items(container: Container | None) -> bytes | None:
    return None if container is None or container.items is None else orjson.dumps((container.items, container.keys))


def _load_frame(id: int, piece: bytes, pieces: Mapping[str, bytes]) -> Frame:
    fields, inside = orjson.loads(piece)
    frame = Frame(id, fields[0], fields[1], "", pieces[f"t:{id}"].decode(), 0)
    frame.phase = Phase(fields[2])
    (
        frame.state,
        frame.next,
        frame.last_id,
        frame.entered_id,
        frame.entered_previous_id,
        frame.entered_at_ms,
        frame.due_ms,
        frame.task_id,
        frame.timeout_s,
        frame.heartbeat_s,
        attempts,
        frame.retries,
    ) = fields[3:]
    frame.attempts = dict(attempts)
    if (variables := pieces.get(f"v:{id}")) is not None:
        frame.variables = orjson.loads(variables)
    if inside is not None:
        items = pieces.get(f"m:{id}")
        frame.container = Container(inside[0], inside[1], *([] if items is None else orjson.loads(items)))
        frame.container.next_index, frame.container.failed = inside[2], inside[3]
        count, percentage = inside[4]
        frame.container.tolerance = (count, percentage)
        frame.container.run_arn, frame.container.run_id, frame.container.redrives = inside[5:]
    frame.dirty = 0
    return frame
