"""Random machines, random answers, random faults: what must hold of every execution.

The player itself checks at each commit that folding, loading and deciding again give the same. So each play here also
enumerates the crashes between its commits; the last test does so for every state type against an uninterrupted run.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.effects import StartTask
from orchestrator.core.signals import (
    RedriveRequested,
    StopRequested,
    TaskFailed,
    TaskHeartbeat,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    TimerFired,
)
from tests.support.simulated_execution import Simulation, a_definition, an_identity

from .test_histories import ACTIVITY, CASES, FUNCTION

ERRORS = ["A", "B", "States.Timeout", "States.TaskFailed", "States.ALL"]
SERVICE = {"Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}}
TOKEN = {"Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Parameters": {"QueueUrl": "q"}}


class Machines:
    """Makes machines out of a seed; names are unique, every Next exists."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.names = (f"S{number}" for number in itertools.count())

    def machine(self) -> dict[str, Any]:
        return self.states(depth=0)["States"]

    def states(self, depth: int) -> dict[str, Any]:
        names = [next(self.names) for _ in range(self.dice.randint(1, 4))]
        states = {}
        for name, following in zip(names, [*names[1:], None], strict=True):
            later = names[names.index(name) + 1 :]
            states[name] = self.state(depth, following, later)
        return {"StartAt": names[0], "States": states}

    def state(self, depth: int, following: str | None, later: list[str]) -> dict[str, Any]:
        dice = self.dice
        goes_on: dict[str, Any] = {"End": True} if following is None else {"Next": following}
        kinds = ["Pass", "Pass", "Task", "Task", "Task", "Wait"]
        kinds += ["Parallel", "Map", "Map"] if depth < 2 else []
        kinds += ["Choice"] if later else ["Fail", "Succeed"]
        match dice.choice(kinds):
            case "Pass":
                return {"Type": "Pass", **dice.choice([{}, {"Result": {"n": 1}}, {"InputPath": "$.absent"}]), **goes_on}
            case "Wait":
                return {"Type": "Wait", "Seconds": dice.choice([0, 1, 30]), **goes_on}
            case "Fail":
                return {"Type": "Fail", **dice.choice([{}, {"Error": "A"}, {"Error": "B", "Cause": "c"}])}
            case "Succeed":
                return {"Type": "Succeed"}
            case "Choice":
                rule = {"Variable": "$", "IsString": dice.random() < 0.5, "Next": dice.choice(later)}
                return {"Type": "Choice", "Choices": [rule], "Default": dice.choice(later)}
            case "Task":
                work = dice.choice([{"Resource": FUNCTION}, SERVICE, TOKEN, {"Resource": ACTIVITY}])
                times = dice.choice([{}, {"TimeoutSeconds": 20}, {"TimeoutSeconds": 20, "HeartbeatSeconds": 5}])
                return {"Type": "Task", **work, **times, **self.handlers(later), **goes_on}
            case "Parallel":
                branches = [self.states(depth + 1) for _ in range(dice.randint(1, 3))]
                return {"Type": "Parallel", "Branches": branches, **self.handlers(later), **goes_on}
        processor = self.states(depth + 1)
        members = {"ItemProcessor": processor, "MaxConcurrency": dice.randint(0, 2), **self.handlers(later), **goes_on}
        # any input will do: the items are a value of its own
        return {"Type": "Map", "Parameters": {"i.$": "$"}, "ItemsPath": "$$.Execution.Input.items", **members}

    def handlers(self, later: list[str]) -> dict[str, Any]:
        dice = self.dice
        found: dict[str, Any] = {}
        if dice.random() < 0.4:
            error = dice.choice(ERRORS)
            found["Retry"] = [{"ErrorEquals": [error], "MaxAttempts": dice.randint(0, 2), "JitterStrategy": "FULL"}]
        if later and dice.random() < 0.4:
            found["Catch"] = [{"ErrorEquals": [dice.choice(ERRORS)], "Next": dice.choice(later), "ResultPath": "$"}]
        return found


class World:
    """Answers tasks, or does not, and disturbs."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.begun: list[int] = []

    def __call__(self, effect: Any) -> Any:
        if not isinstance(effect, StartTask):
            return None
        self.begun.append(effect.task_id)
        dice, id = self.dice, effect.task_id
        good, bad = TaskSucceeded(id, '{"done":true}'), TaskFailed(id, dice.choice(["A", "B", None]), "c")
        prefix: list[Any] = []
        if effect.pattern:
            prefix = [TaskSubmitted(id, "{}")]
        elif effect.kind == "activity":
            prefix = [TaskStarted(id, "w")]
        beats: list[Any] = [TaskHeartbeat(id)] * dice.randint(0, 2)
        match dice.randint(0, 5):
            case 0:
                return [*prefix, *beats] or None
            case 1 | 2:
                return [*prefix, *beats, bad, good]  # the second comes too late
            case _:
                return [*prefix, *beats, good, bad]


def check_legal(played: Simulation) -> None:
    """What every history of AWS's satisfies."""
    events = [event for event in played.events if event.id]
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    by_id = {event.id: event for event in events}
    outcomes: dict[int, str] = {}
    for event in events:
        assert event.previous_id < event.id
        if event.type.endswith(("Succeeded", "Failed", "TimedOut")) and event.type.startswith(
            ("Task", "Lambda", "Activity")
        ):
            scheduled = event
            while not scheduled.type.endswith("Scheduled"):
                scheduled = by_id[scheduled.previous_id]
            assert scheduled.id not in outcomes, "a task has ended twice"
            outcomes[scheduled.id] = event.type
    closing = [event.id for event in events if event.type.startswith("Execution")][1:]
    if played.state.closed:
        assert closing
        assert closing[-1] == len(events), "something happened after the end"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.integers(1, 4), st.booleans(), st.booleans())
def test_whatever_happens_the_history_is_legal_and_folds_to_the_state(
    seed: int, batch: int, stopped: bool, redriven: bool
) -> None:
    definition = a_definition(Machines(seed).machine())
    world = World(seed)
    played = Simulation(definition, world, identity=an_identity(), batch=batch)
    played.begin({"items": [1, 2, 3]})
    if stopped and not played.state.closed:
        played.go_on(played.at_ms + 3000)
        if not played.state.closed:
            played.send(StopRequested("Stopped", None))
    played.go_on()
    check_legal(played)
    assert len(world.begun) == len(set(world.begun)), "a task was started twice"
    state = played.state
    if state.closed:
        late = [TimerFired("execution"), TimerFired("wait:0:2"), *[TaskSucceeded(id, "1") for id in world.begun]]
        assert not played.send(*late).events
        if redriven and state.status != "SUCCEEDED":
            played.send(RedriveRequested())
            played.go_on()
            check_legal(played)
            assert played.state.redrives == 1
    else:
        assert state.tasks, "nothing is awaited, and yet it does not go on"


@pytest.mark.parametrize("case", CASES)
def test_crashes_between_all_commits_change_nothing(case: str) -> None:
    states, input, script, _ = CASES[case]
    states = {name: {key: value for key, value in state.items() if value is not None} for name, state in states.items()}
    histories = []
    for in_memory in (True, False):
        answers = iter(script) if isinstance(script, list) else None
        said = (lambda effect, answers=answers: next(answers)) if answers else script or (lambda effect: None)
        played = Simulation(a_definition(states), said, in_memory=in_memory)
        played.play(input)
        histories.append([event.dump() for event in played.events])
    assert histories[0] == histories[1]
