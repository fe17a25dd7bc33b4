"""An execution played through the workflow core alone: time is a number, tasks are answered by a script.

At every decision the player checks what must always hold: the decision's events folded over the stored state give the
new state, the stored pieces load to the new state, and the same signals on the stored state decide the same again. So
whatever is played is also proved to survive a crash before and after each of its commits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from hearth.asl.definition import Definition
from hearth.asl.parse import parse_definition
from hearth.model.history import HistoryEvent
from orchestrator.core.decide import decide, start
from orchestrator.core.effects import (
    CancelTask,
    CancelTimer,
    Decision,
    Effect,
    ExecutionEnded,
    SetTimer,
    StartChild,
    StartMapRun,
    StartTask,
    WriteResults,
    dump_effect,
    load_effect,
)
from orchestrator.core.evolve import evolve
from orchestrator.core.signals import (
    ChildEnded,
    Continue,
    ItemsRead,
    ResultsWritten,
    Signal,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
    dump_signal,
    load_signal,
)
from orchestrator.core.state import ExecutionState, Frame, Identity

START_MS = 1_700_000_000_000

#: what a script answers: a value (the task's result), signals, or None (never)
Script = Callable[[Effect], Any]


def an_identity(**changes: Any) -> Identity:
    members: dict[str, Any] = {
        "arn": "arn:aws:states:us-east-1:000000000000:execution:machine:run",
        "name": "run",
        "role_arn": "arn:aws:iam::000000000000:role/workflows",
        "state_machine_arn": "arn:aws:states:us-east-1:000000000000:stateMachine:machine",
        "state_machine_name": "machine",
        "started_at_ms": START_MS,
        "secret": "secret",
    }
    return Identity(**(members | changes))


def error(name: str | None = None, cause: str | None = None) -> Callable[[StartTask], list[Signal]]:
    """A task's answer: it fails."""
    return lambda effect: [TaskFailed(effect.task_id, name, cause)]


@dataclass
class Simulation:
    """`play` runs to the end, or until nothing more can happen."""

    definition: Definition
    script: Script = lambda effect: None
    identity: Identity = field(default_factory=an_identity)
    #: answer at most so many signals at once
    batch: int = 1
    #: activities that do not exist
    missing: frozenset[str] = frozenset()
    at_ms: int = START_MS
    events: list[HistoryEvent] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    timers: dict[str, int] = field(default_factory=dict)
    inbox: list[Signal] = field(default_factory=list)
    #: keep the state in memory from decision to decision instead of loading what is stored
    in_memory: bool = False
    kept: ExecutionState | None = None

    def play(self, input: Any = None, *, text: str | None = None, until_ms: int | None = None) -> Simulation:
        self.begin(input, text=text)
        return self.go_on(until_ms)

    def begin(self, input: Any = None, *, text: str | None = None) -> None:
        input_text = orjson.dumps({} if input is None else input).decode() if text is None else text
        moment: dict[str, Any] = {"at_ms": self.at_ms, "random": 0.5, "missing": self.missing}
        state, decision = start(self.definition, self.identity, input_text, **moment)
        folded = ExecutionState(self.identity, input_text)
        self._commit(state, decision, folded)

    def go_on(self, until_ms: int | None = None) -> Simulation:
        """Deliver what is in the inbox, else the next timer, until neither is left."""
        while not self.state.closed:
            if self.inbox:
                signals, self.inbox = self.inbox[: self.batch], self.inbox[self.batch :]
                self.send(*signals)
                continue
            due = min(self.timers.values(), default=None)
            if due is None or (until_ms is not None and due > until_ms):
                break
            self.at_ms = max(self.at_ms, due)
            self.send(*[TimerFired(timer) for timer, at in self.timers.items() if at <= self.at_ms])
        return self

    def send(self, *signals: Signal) -> Decision:
        """One decision, from the stored pieces, as after a crash."""
        signals = tuple(load_signal(dump_signal(signal)) for signal in signals)
        for signal in signals:
            if isinstance(signal, TimerFired):
                self.timers.pop(signal.timer, None)
        state = self.kept if self.in_memory and self.kept is not None else self.state
        moment: dict[str, Any] = {"at_ms": self.at_ms, "random": 0.5, "missing": self.missing}
        decision = decide(self.definition, state, signals, **moment)
        again = decide(self.definition, self.state, signals, **moment)
        assert _seen(again) == _seen(decision), "the same signals on the same state decide something else"
        self._commit(state, decision, self.state)
        return decision

    @property
    def state(self) -> ExecutionState:
        """Loaded anew from what is stored."""
        return ExecutionState.load(self.stored)

    def _commit(self, state: ExecutionState, decision: Decision, folded: ExecutionState) -> None:
        self.kept = state
        for event in decision.events:
            evolve(folded, HistoryEvent.load(event.dump()))
        for name, piece in state.take_changes().items():
            if piece is None:
                self.stored.pop(name, None)
            else:
                self.stored[name] = piece
        assert described(folded) == described(state), "the events folded give another state"
        assert described(self.state) == described(state), "the pieces loaded give another state"
        self.events += decision.events
        if decision.unfinished:
            self.inbox.append(Continue())
        for effect in decision.effects:
            self._perform(load_effect(dump_effect(effect)))

    def _perform(self, effect: Effect) -> None:
        self.effects.append(effect)
        match effect:
            case SetTimer():
                self.timers[effect.timer] = effect.due_ms
            case CancelTimer():
                self.timers.pop(effect.timer, None)
            case ExecutionEnded():
                self.timers.clear()
                self.inbox.clear()
            case CancelTask():
                self.inbox = [signal for signal in self.inbox if getattr(signal, "task_id", 0) != effect.task_id]
            case StartTask() | StartMapRun() | StartChild() | WriteResults():
                self._answer(effect)

    def _answer(self, effect: StartTask | StartMapRun | StartChild | WriteResults) -> None:
        answer = self.script(effect)
        while callable(answer):
            answer = answer(effect)
        if isinstance(answer, list) and answer and isinstance(answer[0], Signal):
            self.inbox += answer
            return
        if answer is None:
            return
        text = orjson.dumps(answer).decode()
        match effect:
            case StartTask():
                self.inbox.append(TaskSucceeded(effect.task_id, text))
            case StartMapRun():
                self.inbox.append(ItemsRead(effect.task_id, answer))
            case StartChild():
                self.inbox.append(ChildEnded(effect.task_id, effect.index, "SUCCEEDED", text))
            case WriteResults():
                self.inbox.append(ResultsWritten(effect.task_id, text))

    # ------------------------------------------------------------------------------------------- what tests look at

    @property
    def history(self) -> list[str]:
        """`id Type←previous` of each event of AWS's history."""
        return [f"{event.id} {event.type}←{event.previous_id}" for event in self.events if event.id]

    @property
    def output(self) -> Any:
        state = self.state
        assert state.status == "SUCCEEDED", (state.status, state.error, state.cause)
        return orjson.loads(state.output or "")

    def details(self, event_type: str) -> list[dict[str, Any]]:
        return [event.details or {} for event in self.events if event.type == event_type]

    def all_of(self, kind: type[Any]) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


def a_definition(states: dict[str, Any], start_at: str | None = None, **members: Any) -> Definition:
    """States in order; the first one is StartAt, and each that says nothing else goes on to the next."""
    return parse_definition(orjson.dumps(a_document(states, start_at, **members)).decode())


def a_document(states: dict[str, Any], start_at: str | None = None, **members: Any) -> dict[str, Any]:
    names = list(states)
    chained = {}
    for name, following in zip(names, [*names[1:], None], strict=True):
        state = dict(states[name])
        if state["Type"] not in ("Choice", "Succeed", "Fail") and "Next" not in state and "End" not in state:
            state |= {"End": True} if following is None else {"Next": following}
        chained[name] = state
    return {"StartAt": start_at or names[0], "States": chained} | members


def simulate(states: dict[str, Any], input: Any = None, script: Any = None, **members: Any) -> Simulation:
    """Play a machine of these states. script: a function of effects, or a list of answers to its tasks in turn."""
    if isinstance(script, Sequence):
        answers = iter(script)
        return Simulation(a_definition(states, **members), lambda effect: next(answers)).play(input)
    return Simulation(a_definition(states, **members), script or (lambda effect: None)).play(input)


def described(state: ExecutionState) -> dict[str, Any]:
    """Everything that a state consists of, comparable."""
    return {
        "identity": state.identity,
        "input": state.input,
        "status": (state.status, state.output, state.error, state.cause, state.redrives, state.redriven_at_ms),
        "next": (state.next_event_id, state.next_frame_id),
        "ready": list(state.ready),
        "tasks": dict(sorted(state.tasks.items())),
        "frames": {id: _described_frame(frame) for id, frame in sorted(state.frames.items())},
    }


def _described_frame(frame: Frame) -> dict[str, Any]:
    members = {name: getattr(frame, name) for name in Frame.__slots__ if name not in ("dirty", "value", "container")}
    container = frame.container
    if container is not None:
        members["container"] = {name: getattr(container, name) for name in type(container).__slots__}
        members["container"]["tolerance"] = tuple(container.tolerance)
    return members


def _seen(decision: Decision) -> tuple[Any, ...]:
    return [event.dump() for event in decision.events], decision.effects, decision.unfinished
