"""A closed execution goes on where it failed."""

from __future__ import annotations

from typing import Any

from orchestrator.core.effects import StartTask
from orchestrator.core.signals import RedriveRequested, StopRequested
from tests.support.simulated_execution import Simulation, a_definition, error

from .test_histories import BY_ARN, INVOKE, PASS, a_map, a_parallel


def redriven(states: dict[str, Any], input: Any, first: Any, then: Any) -> Simulation:
    """Played to a failure with one script, then redriven with another."""
    played = Simulation(a_definition(states), first)
    played.play(input)
    assert played.state.status == "FAILED"
    played.script = then
    played.effects.clear()
    played.send(RedriveRequested())
    return played.go_on()


def test_failed_task_is_scheduled_again_without_entering_its_state() -> None:
    played = redriven({"A": PASS, "T": INVOKE}, {}, error("E"), lambda effect: 5)
    assert played.output == 5
    assert played.history[7:] == [
        "8 ExecutionFailed←7",
        "9 ExecutionRedriven←8",
        "10 TaskScheduled←9",
        "11 TaskStarted←10",
        "12 TaskSucceeded←11",
        "13 TaskStateExited←12",
        "14 ExecutionSucceeded←13",
    ]
    assert played.details("ExecutionRedriven") == [{"redriveCount": 1}]
    assert played.state.redrives == 1


def test_fail_state_is_entered_again() -> None:
    played = redriven({"F": {"Type": "Fail", "Error": "E"}}, {}, None, None)
    assert played.history[2:] == [
        "3 ExecutionFailed←2",
        "4 ExecutionRedriven←3",
        "5 FailStateEntered←4",
        "6 ExecutionFailed←5",
    ]


def test_only_iterations_that_had_not_succeeded_run_again() -> None:
    def first(effect: Any) -> Any:
        return error("E")(effect) if effect.parameters == "2" else 10

    played = redriven({"M": a_map({"X": BY_ARN}, MaxConcurrency=2)}, [1, 2, 3, 4], first, lambda effect: 20)
    assert [task.parameters for task in played.all_of(StartTask)] == ["2", "3", "4"]
    assert played.output == [10, 20, 20, 20]


def test_only_branches_that_had_not_succeeded_run_again() -> None:
    def first(effect: Any) -> Any:
        return error("E")(effect) if effect.state == "Y" else "kept"

    played = redriven({"P": a_parallel({"X": BY_ARN}, {"Y": BY_ARN})}, {}, first, lambda effect: "new")
    assert [task.state for task in played.all_of(StartTask)] == ["Y"]
    assert played.output == ["kept", "new"]


def test_retries_start_anew() -> None:
    task = BY_ARN | {"Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}]}
    answers = iter([error("E"), 1])
    played = redriven({"T": task}, {}, error("E"), lambda effect: next(answers))
    assert played.output == 1
    assert len(played.all_of(StartTask)) == 2


def test_stopped_wait_waits_again() -> None:
    played = Simulation(a_definition({"W": {"Type": "Wait", "Seconds": 9}}))
    played.begin({})
    played.send(StopRequested())
    played.send(RedriveRequested())
    played.go_on()
    assert played.state.status == "SUCCEEDED"
