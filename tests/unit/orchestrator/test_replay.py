"""A recorded history is played through the core once more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from hearth.model.history import HistoryEvent
from orchestrator.core.replay import Step, read_history, replay
from orchestrator.core.signals import RedriveRequested, StopRequested
from tests.support.simulated_execution import Simulation, a_definition, an_identity

from .test_histories import BY_ARN, CASES, PASS, simulate
from .test_properties import Machines, World


def shown(played: Simulation) -> list[HistoryEvent]:
    """As GetExecutionHistory shows it, and read again."""
    events = [event.to_api() for event in played.events if event.id]
    return read_history(orjson.loads(orjson.dumps(events)))


def again(played: Simulation) -> list[Step]:
    return replay(played.definition, an_identity(), shown(played))


def check_same(played: Simulation) -> None:
    steps = again(played)
    assert [step.instead for step in steps] == [""] * len(played.history)
    assert [step.differs for step in steps] == [{}] * len(steps)


@pytest.mark.parametrize("case", CASES)
def test_recording_of_each_state_type_plays_the_same(case: str) -> None:
    states, input, script, _ = CASES[case]
    states = {name: {key: value for key, value in state.items() if value is not None} for name, state in states.items()}
    check_same(simulate(states, input, script))


@pytest.mark.parametrize("seed", range(60))
def test_recordings_of_random_machines_play_the_same(seed: int) -> None:
    played = Simulation(a_definition(Machines(seed).machine()), World(seed), batch=seed % 3 + 1)
    played.begin({"items": [1, 2, 3]})
    if seed % 4 == 0:
        played.go_on(played.at_ms + 3000)
        if not played.state.closed:
            played.send(StopRequested("Stopped", None))
    played.go_on()
    if seed % 2 and played.state.closed and played.state.status != "SUCCEEDED":
        played.send(RedriveRequested())
        played.go_on()
    check_same(played)


def test_steps_show_data_and_variables() -> None:
    states = {"A": {"Type": "Pass", "Result": {"x": 1}, "Assign": {"v.$": "$.x"}}, "B": PASS}
    steps = again(simulate(states, {"in": 0}))
    assert [(step.event.type, step.state, step.data, step.variables) for step in steps[1:4]] == [
        ("PassStateEntered", "A", '{"in":0}', {}),
        ("PassStateExited", "A", '{"x":1}', {"v": 1}),
        ("PassStateEntered", "B", '{"x":1}', {}),
    ]


def test_what_another_definition_computes_otherwise_is_told() -> None:
    played = simulate({"T": BY_ARN, "A": PASS}, {}, [1])
    changed: dict[str, Any] = {"T": BY_ARN, "A": PASS | {"Result": 5}}
    steps = replay(a_definition(changed), an_identity(), shown(played))
    assert {step.event.id: step.differs for step in steps if step.differs} == {8: {"output": "5"}}
    assert not any(step.instead for step in steps)


def test_map_run_is_the_same_under_another_id_but_not_under_another_label() -> None:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "P",
                 "States": {"P": PASS}}  # fmt: skip
    run = {"Type": "Map", "ItemProcessor": processor, "End": True}
    played = simulate({"M": run}, [], lambda _: [])
    elsewhere = replace(an_identity(), secret="of another execution")
    assert not any(step.differs for step in replay(played.definition, elsewhere, shown(played)))
    labelled = a_definition({"M": run | {"Label": "mine"}})
    (differing,) = [step for step in replay(labelled, elsewhere, shown(played)) if step.differs]
    assert "/mine:" in differing.differs["mapRunArn"]


def test_what_another_definition_does_instead_ends_the_replay() -> None:
    played = simulate({"T": BY_ARN, "A": PASS}, {}, [1])
    changed: dict[str, Any] = {"T": BY_ARN, "A": {"Type": "Succeed"}}
    steps = replay(a_definition(changed), an_identity(), shown(played))
    assert (steps[-1].event.id, steps[-1].instead) == (7, "SucceedStateEntered after event 6")
