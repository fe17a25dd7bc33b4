"""A recorded history played through the core once more: what happened at each step, and whether it would again.

The history is as GetExecutionHistory gives it, Hearth's or AWS's: no more is needed, for what came from outside (task
results, timers, a stop) can be read from it. The play follows the recording: where the core computes something else
(another definition, a random number), the step says so and goes on with what was recorded. Where the core does
something else, the play ends.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from hearth.asl.definition import Definition
from hearth.model.history import HistoryEvent, details_member
from orchestrator.core import signals
from orchestrator.core.decide import begin, go_on
from orchestrator.core.effects import Decision
from orchestrator.core.run import Run, retry_timer, wait_timer
from orchestrator.core.signals import Signal
from orchestrator.core.state import UNPARSED, ExecutionState, Identity, Phase

#: members whose text may differ in the spacing and still say the same
_TEXTS = ("input", "output", "parameters")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class Step:
    """One event of the recording, and the execution as it stood after it."""

    event: HistoryEvent
    #: of the chain of states the event belongs to, after it
    state: str = ""
    data: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    #: members that the core computes otherwise: name -> its value
    differs: dict[str, Any] = field(default_factory=dict)
    #: what the core does instead, which ends the replay; "": the same
    instead: str = ""


def read_history(events: Sequence[Mapping[str, Any]]) -> list[HistoryEvent]:
    """From GetExecutionHistory's `events`; their timestamps in seconds, or as datetime."""
    read = []
    for shown in events:
        moment = shown["timestamp"]
        seconds = moment.timestamp() if hasattr(moment, "timestamp") else float(moment)
        member = details_member(shown["type"])
        details = None if member is None else dict(shown.get(member, {}))
        read.append(
            HistoryEvent(shown["id"], shown["previousEventId"], shown["type"], round(seconds * 1000), 0, details)
        )
    return sorted(read, key=lambda event: event.id)


def replay(definition: Definition, identity: Identity, events: Sequence[HistoryEvent]) -> list[Step]:
    """A step for each event, until the core does something else. events: whole, in order of their ids."""
    return _Replay(definition, identity, events).play()


class _Following(Run):
    """A run whose events carry what was recorded, if they are the same."""

    __slots__ = ("computed", "recorded")

    def __init__(
        self, definition: Definition, state: ExecutionState, at_ms: int, recorded: Sequence[HistoryEvent]
    ) -> None:
        super().__init__(definition, state, at_ms, 0.5)
        self.recorded = recorded
        #: event -> the details that the core has made
        self.computed: dict[int, dict[str, Any]] = {}

    def append(self, event: HistoryEvent) -> None:
        if 0 < event.id <= len(self.recorded):
            truth = self.recorded[event.id - 1]
            if truth.details is not None and _place(truth) == _place(event):
                self.computed[event.id] = event.details or {}
                event.details, event.value = truth.details, UNPARSED
        Run.append(self, event)


class _Replay:
    def __init__(self, definition: Definition, identity: Identity, events: Sequence[HistoryEvent]) -> None:
        self.definition = definition
        self.events = events
        self.by_id = {event.id: event for event in events}
        self.state = ExecutionState(identity, (events[0].details or {}).get("input", "{}") if events else "{}")
        self.stored: dict[str, bytes] = {}
        #: decided, not yet found in the recording
        self.decided: deque[tuple[HistoryEvent, Step]] = deque()

    def play(self) -> list[Step]:
        steps: list[Step] = []
        for number, recorded in enumerate(self.events):
            if not self.decided:
                self._decide(number)
            step = self._next(recorded)
            steps.append(step)
            if step.instead:
                break
        return steps

    def _decide(self, number: int) -> None:
        """Let happen what the recording says came from outside."""
        recorded = self.events[number]
        if number == 0:
            run = _Following(self.definition, self.state, recorded.at_ms, self.events)
            self._finish(run, begin(run))
            return
        came = self._signals_at(number)
        # what came in the same millisecond may have been one decision or several: the recording tells
        for count in range(len(came), 0, -1):
            self._go_on(recorded.at_ms, came[:count])
            if count == 1 or self._as_recorded():
                return
            self.decided.clear()
            self.state = ExecutionState.load(self.stored)

    def _as_recorded(self) -> bool:
        recorded = [self.by_id.get(event.id) for event, _ in self.decided]
        return all(
            truth is not None and _place(truth) == _place(event)
            for (event, _), truth in zip(self.decided, recorded, strict=True)
        )

    def _signals_at(self, number: int) -> list[Signal]:
        """All that came from outside in the millisecond in which this was recorded, in order."""
        came: list[Signal] = []
        for event in self.events[number:]:
            if event.at_ms != self.events[number].at_ms:
                break
            signal = self._signal(event)
            if signal is not None and signal not in came:
                came.append(signal)
            elif not came:
                break
        return came

    def _go_on(self, at_ms: int, came: Sequence[Signal]) -> None:
        for name, piece in self.state.take_changes().items():
            if piece is None:
                self.stored.pop(name, None)
            else:
                self.stored[name] = piece
        run = _Following(self.definition, self.state, at_ms, self.events)
        self._finish(run, go_on(run, came))

    def _finish(self, run: _Following, decision: Decision) -> None:
        while True:
            self._note(run, decision)
            if not decision.unfinished:
                return
            run = _Following(self.definition, self.state, run.at_ms, self.events)
            decision = go_on(run, [signals.Continue()])

    def _note(self, run: _Following, decision: Decision) -> None:
        for event in decision.events:
            if not event.id:
                continue
            details = event.details or {}
            step = Step(event, details.get("name", ""), details.get("output") or details.get("input") or "")
            assigned = details.get("assignedVariables") or {}
            step.variables = {name: orjson.loads(text) for name, text in assigned.items()}
            if event.id in run.computed:
                step.differs = _differences(details, run.computed[event.id])
            self.decided.append((event, step))

    def _next(self, recorded: HistoryEvent) -> Step:
        if not self.decided:
            return Step(recorded, instead="nothing happens")
        event, step = self.decided.popleft()
        if (event.type, event.previous_id) != (recorded.type, recorded.previous_id):
            return Step(recorded, instead=f"{event.type} after event {event.previous_id}")
        step.event = recorded
        return step

    def _signal(self, event: HistoryEvent) -> Signal | None:
        """What came from outside when this was recorded; None: nothing, it followed from what was there."""
        details = event.details or {}
        match event.type:
            case "ExecutionAborted":
                return signals.StopRequested(details.get("error"), details.get("cause"))
            case "ExecutionTimedOut":
                return signals.TimerFired("execution")
            case "ExecutionRedriven":
                return signals.RedriveRequested()
            case "WaitStateExited":
                return self._timer(Phase.WAITING, event)
            case "MapRunSucceeded":
                return signals.ResultsWritten(event.previous_id, self._result_of(event))
            case "MapRunFailed":
                return signals.MapRunFailed(event.previous_id, details.get("error", ""), details.get("cause", ""))
        if event.type.endswith("Scheduled") or event.type in ("ParallelStateStarted", "MapStateStarted"):
            return self._timer(Phase.RETRYING, event)
        return self._task_signal(event, details)

    def _task_signal(self, event: HistoryEvent, details: dict[str, Any]) -> Signal | None:
        kind = next((kind for kind in ("LambdaFunction", "Activity", "Task") if event.type.startswith(kind)), None)
        if kind is None or event.type.startswith("TaskState"):
            return None
        task_id = self._scheduled(event)
        if task_id not in self.state.tasks:
            return None
        match event.type.removeprefix(kind):
            case "Succeeded":
                return signals.TaskSucceeded(task_id, details.get("output", "null"))
            case "Submitted":
                return signals.TaskSubmitted(task_id, details.get("output", "null"))
            case "Started" if kind == "Activity":
                return signals.TaskStarted(task_id, details.get("workerName"))
            case "TimedOut":
                limit_s = (self.by_id[task_id].details or {}).get("timeoutInSeconds")
                over = limit_s is not None and event.at_ms - self.by_id[task_id].at_ms >= limit_s * 1000
                return signals.TimerFired(f"{'timeout' if over or limit_s else 'heartbeat'}:{task_id}")
            case "Failed" | "ScheduleFailed" | "StartFailed" | "SubmitFailed" as outcome:
                stage = outcome.removesuffix("Failed")
                return signals.TaskFailed(task_id, details.get("error"), details.get("cause"), stage)
        return None

    def _scheduled(self, event: HistoryEvent) -> int:
        """The id of the Scheduled event that an event of a task goes back to."""
        while not event.type.endswith("Scheduled") and event.previous_id:
            event = self.by_id[event.previous_id]
        return event.id

    def _timer(self, phase: Phase, event: HistoryEvent) -> Signal | None:
        """Of the frame that waits for it."""
        for frame in self.state.frames.values():
            if frame.phase is phase and frame.last_id == event.previous_id:
                timer = wait_timer(frame) if phase is Phase.WAITING else retry_timer(frame)
                return signals.TimerFired(timer)
        return None

    def _result_of(self, event: HistoryEvent) -> str:
        """What a map run gave: only the state's output is recorded."""
        for later in self.events[event.id :]:
            if later.type == "MapStateExited":
                output: str = (later.details or {}).get("output", "null")
                return output
        return "null"


def _place(event: HistoryEvent) -> tuple[Any, ...]:
    """Where it belongs; what it says may differ."""
    details = event.details or {}
    return event.type, event.previous_id, details.get("name"), details.get("index")


def _differences(recorded: dict[str, Any], computed: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name in sorted(recorded.keys() | computed.keys()):
        there, here = recorded.get(name), computed.get(name)
        if there == here or (name in _TEXTS and _same_json(there, here)):
            continue
        if name == "mapRunArn" and _given_label(there) == _given_label(here):
            continue  # made up anew for each run
        found[name] = here
    return found


def _given_label(map_run: str | None) -> str:
    """The Label in a map run's ARN, "" if the definition gave none and it is a UUID."""
    label = (map_run or "").partition("/")[2].partition(":")[0]
    return "" if _UUID.fullmatch(label) else label


def _same_json(one: str | None, other: str | None) -> bool:
    try:
        return bool(orjson.loads(one or "") == orjson.loads(other or ""))
    except orjson.JSONDecodeError:
        return False
