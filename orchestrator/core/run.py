"""One decision in the making: what every state type needs to emit events, see its surroundings, enter and leave.

Emitting an event and applying it to the state are one act, so no decision can change the state but by its events.
"""

from __future__ import annotations

import json
import random as pseudo
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from hearth.asl import errors
from hearth.asl.context import context_object, execution
from hearth.asl.definition import Definition, Left, MapItem, State
from hearth.asl.scope import Entropy, Json, Scope
from hearth.model.history import HistoryEvent
from orchestrator.core.effects import CancelTask, CancelTimer, Decision, Effect, SetTimer
from orchestrator.core.evolve import evolve
from orchestrator.core.state import UNPARSED, ExecutionState, Frame, Phase

#: events after which a decision is cut, so that an endless loop of states can't hold the shell up
EVENTS_PER_DECISION = 1000
#: or after it has handed on so many characters of data, since a decision is committed whole
CHARACTERS_PER_DECISION = 2_000_000

#: AWS's mark that data are shown whole; shared, never changed
WHOLE = {"truncated": False}

_NO_VARIABLES: Mapping[str, Json] = {}


class HistoryFull(Exception):
    """The execution has reached the limit of its history's length; it fails with its last event."""


def to_text(value: Json) -> str:
    """Compact JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(value, separators=(",", ":"))


class Run:
    """Time and randomness are those of the signals that caused it."""

    __slots__ = (
        "_context_execution",
        "_dice",
        "_entropy",
        "_timers",
        "at_ms",
        "decision",
        "definition",
        "missing",
        "random",
        "started",
        "state",
        "weight",
    )

    def __init__(
        self, definition: Definition, state: ExecutionState, at_ms: int, random: float, missing: Collection[str] = ()
    ) -> None:
        self.definition = definition
        self.state = state
        self.at_ms = at_ms
        self.random = random
        self.missing = missing
        self.decision = Decision()
        #: characters of the data that states were entered with
        self.weight = 0
        #: frames whose task's Started event is due once everything has been scheduled
        self.started: list[Frame] = []
        self._timers: dict[str, int | None] = {}
        self._context_execution: dict[str, Json] | None = None
        self._dice: pseudo.Random | None = None
        #: expressions' random numbers and time are the decision's own too
        self._entropy = Entropy(repr(random), at_ms)

    # ------------------------------------------------------------------------------------------------- events

    def emit(
        self,
        type: str,
        frame: Frame,
        previous_id: int,
        details: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
        value: Any = UNPARSED,
    ) -> int:
        """Append an event of the history and apply it. Returns its id."""
        state = self.state
        id = state.next_event_id
        if id >= state.identity.max_events and not state.identity.express:
            raise HistoryFull
        self.append(HistoryEvent(id, previous_id, type, self.at_ms, frame.id, details, facts, value))
        return id

    def append(self, event: HistoryEvent) -> None:
        """Every event goes this way."""
        self.decision.events.append(event)
        evolve(self.state, event)

    def begin(self, details: dict[str, Any]) -> None:
        """Append the execution's first event."""
        facts = {"next": self.definition.start_at}
        self.append(HistoryEvent(1, 0, "ExecutionStarted", self.at_ms, 0, details, facts))

    def note(self, type: str, frame: Frame, facts: dict[str, Any] | None = None, previous_id: int = 0) -> None:
        """Append a facts-only record and apply it."""
        self.append(HistoryEvent(0, previous_id, type, self.at_ms, frame.id, None, facts))

    def close(self, type: str, previous_id: int, details: dict[str, Any]) -> None:
        """Append the event that closes the execution; it is always let in."""
        self.append(HistoryEvent(self.state.next_event_id, previous_id, type, self.at_ms, 0, details))

    # ------------------------------------------------------------------------------------------------ effects

    def perform(self, effect: Effect) -> None:
        self.decision.effects.append(effect)

    def set_timer(self, timer: str, due_ms: int) -> None:
        self._timers[timer] = due_ms

    def cancel_timer(self, timer: str) -> None:
        self._timers[timer] = None

    def cancel_work(self, frame: Frame) -> None:
        """Give up what a frame waits for: its task and its timers."""
        if frame.task_id:
            self.cancel_task_timers(frame)
            self.perform(CancelTask(frame.task_id))
        elif frame.phase is Phase.WAITING:
            self.cancel_timer(wait_timer(frame))
        elif frame.phase is Phase.RETRYING:
            self.cancel_timer(retry_timer(frame))

    def cancel_task_timers(self, frame: Frame) -> None:
        if frame.timeout_s:
            self.cancel_timer(f"timeout:{frame.task_id}")
        if frame.heartbeat_s:
            self.cancel_timer(f"heartbeat:{frame.task_id}")

    def finished(self) -> Decision:
        """The decision, complete: what the timers came to be is told once."""
        for timer, due_ms in self._timers.items():
            self.perform(CancelTimer(timer) if due_ms is None else SetTimer(timer, due_ms))
        return self.decision

    def draw(self) -> float:
        """A random number, 0 <= x < 1; the first is the decision's own."""
        if self._dice is None:
            self._dice = pseudo.Random(self.random)
            return self.random
        return self._dice.random()

    # ------------------------------------------------------------------------------------------- surroundings

    def scope(
        self,
        frame: Frame,
        state: State,
        *,
        retry_count: int | None = None,
        task_token: str | None = None,
        item: MapItem | None = None,
    ) -> Scope:
        """What the state's expressions see. item: the one an ItemSelector is evaluated for."""
        identity = self.state.identity
        context = context_object(
            self._context_execution or self._make_context_execution(),
            machine_arn=identity.state_machine_arn,
            machine_name=identity.state_machine_name,
            state=state.name,
            entered_at_ms=frame.entered_at_ms,
            retry_count=retry_count,
            task_token=task_token,
            item=item or (self._item(frame) if frame.parent >= 0 else None),
        )
        return Scope(frame.data(), context, self._variables(frame), entropy=self._entropy)

    def _make_context_execution(self) -> dict[str, Json]:
        state = self.state
        if state.input_value is UNPARSED:
            state.input_value = orjson.loads(state.input)
        self._context_execution = execution(
            arn=state.identity.arn,
            name=state.identity.name,
            input=state.input_value,
            role_arn=state.identity.role_arn,
            started_at_ms=state.identity.started_at_ms,
            redrive_count=state.redrives,
            redriven_at_ms=state.redriven_at_ms,
        )
        return self._context_execution

    def _item(self, frame: Frame) -> MapItem | None:
        """The item of the innermost Map iteration around a frame."""
        while frame.parent >= 0:
            parent = self.state.frames[frame.parent]
            container = parent.container
            if container is not None and container.items is not None:
                key = container.keys[frame.index] if container.keys is not None else None
                return MapItem(frame.index, container.items[frame.index], key)
            frame = parent
        return None

    def _variables(self, frame: Frame) -> Mapping[str, Json]:
        if frame.parent < 0:
            return frame.variables or _NO_VARIABLES
        outer = self._variables(self.state.frames[frame.parent])
        return {**outer, **frame.variables} if frame.variables else outer

    # --------------------------------------------------------------------------------------- entering and leaving

    def enter(self, frame: Frame, state: State, facts: dict[str, Any] | None = None) -> int:
        """Emit the state's Entered event. Returns its id."""
        self.weight += len(frame.text)
        details = {"name": state.name, "input": frame.text, "inputDetails": WHOLE}
        return self.emit(state.type + "StateEntered", frame, frame.last_id, details, facts)

    def leave(
        self,
        frame: Frame,
        state: State,
        left: Left,
        next: str | None,
        result: Json = UNPARSED,
        result_text: str = "",
    ) -> None:
        """Emit the state's Exited event. next: the state that follows; None: the frame's chain has ended.

        result_text: the text of `result`; data that pass through unchanged keep the very text they came in.
        Raises StateError: the output is too large.
        """
        output = left.output
        if output is frame.value:
            text = frame.text
        else:
            text = result_text if output is result else to_text(output)
            self.check_size(text, state.name)
        details: dict[str, Any] = {"name": state.name, "output": text, "outputDetails": WHOLE}
        if left.assigned:
            details["assignedVariables"] = {name: to_text(value) for name, value in left.assigned.items()}
            details["assignedVariablesDetails"] = WHOLE
        facts = None if next is None else {"next": next}
        self.emit(state.type + "StateExited", frame, frame.last_id, details, facts, output)

    def check_size(self, text: str, name: str) -> None:
        """name: the state's, or the task's resource. Raises StateError: States.DataLimitExceeded."""
        limit = self.state.identity.max_data_bytes
        # at most four bytes a character: nearly all texts need no encoding to be known to fit
        if len(text) * 4 > limit and len(text.encode()) > limit:
            raise errors.StateError(
                errors.DATA_LIMIT_EXCEEDED,
                f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes "
                "service limit.",
                catchable=True,
            )


def wait_timer(frame: Frame) -> str:
    """Ends a Wait. Named by the frame and its Entered event, so that a timer of an earlier state is told apart."""
    return f"wait:{frame.id}:{frame.entered_id}"


def retry_timer(frame: Frame) -> str:
    """Ends a retry's delay. Named by the frame and the event that failed."""
    return f"retry:{frame.id}:{frame.last_id}"
