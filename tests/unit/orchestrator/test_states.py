"""What states hand on, and what they ask for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hearth.model.task_token import read_token
from orchestrator.core.effects import CancelTask, CancelTimer, ExecutionEnded, SetTimer, StartTask
from orchestrator.core.signals import TaskHeartbeat, TaskSucceeded
from tests.support.simulated_execution import START_MS, Simulation, a_definition, error, simulate

from .test_histories import ACTIVITY, BY_ARN, CATCH, FUNCTION, INVOKE, PASS, TOKEN, a_map, a_parallel


def test_data_keep_their_text_while_they_pass_through() -> None:
    text = '[ [1,   2.50],{"a" :1} ]'
    played = Simulation(a_definition({"A": PASS, "P": a_parallel({"X": PASS}, {"Y": PASS})}))
    played.play(text=text)
    assert played.state.output == f"[{text},{text}]"


def test_task_gets_its_parameters_and_hands_its_result_on() -> None:
    states = {
        "T": {
            "Type": "Task",
            "Resource": FUNCTION,
            "InputPath": "$.order",
            "Parameters": {"id.$": "$.id", "retries.$": "$$.State.RetryCount"},
            "ResultSelector": {"total.$": "$.sum"},
            "ResultPath": "$.bill",
        }
    }
    played = simulate(states, {"order": {"id": 7}}, [{"sum": 12, "other": 1}])
    (asked,) = played.all_of(StartTask)
    assert (asked.kind, asked.resource, asked.state) == ("lambda-function", FUNCTION, "T")
    assert orjson.loads(asked.parameters) == {"id": 7, "retries": 0}
    assert played.output == {"order": {"id": 7}, "bill": {"total": 12}}


def test_scheduled_event_of_a_service_task() -> None:
    played = simulate({"T": INVOKE | {"TimeoutSeconds": 30, "HeartbeatSeconds": 10}}, {}, [1])
    assert played.details("TaskScheduled") == [
        {
            "resourceType": "lambda",
            "resource": "invoke",
            "region": "us-east-1",
            "parameters": '{"FunctionName":"work"}',
            "timeoutInSeconds": 30,
            "heartbeatInSeconds": 10,
        }
    ]
    assert played.all_of(SetTimer)[1:] == [
        SetTimer("timeout:3", START_MS + 30_000),
        SetTimer("heartbeat:3", START_MS + 10_000),
    ]
    assert played.all_of(CancelTimer) == [CancelTimer("timeout:3"), CancelTimer("heartbeat:3")]


def test_token_names_the_execution_and_the_task() -> None:
    played = simulate({"T": TOKEN})
    (asked,) = played.all_of(StartTask)
    assert read_token(asked.token) == (played.identity.arn, 3)
    assert orjson.loads(asked.parameters)["MessageBody"] == {"Token": asked.token}


@pytest.mark.parametrize(
    ("failing", "caught"),
    [
        (error("Broken", "why"), {"Error": "Broken", "Cause": "why"}),
        (error(None, None), {"Error": None, "Cause": None}),
        (None, {"Error": "States.Timeout", "Cause": ""}),
    ],
)
def test_catcher_gets_error_and_cause_beside_the_raw_input(failing: Any, caught: dict[str, Any]) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.error"}]
    states = {
        "T": BY_ARN | {"TimeoutSeconds": 2, "InputPath": "$.part", "OutputPath": "$.part", "Catch": catch},
        "Caught": PASS,
    }
    played = simulate(states, {"part": {}}, [failing])
    assert played.output == {"part": {}, "error": caught}


def test_missed_heartbeat_is_a_timeout_that_its_own_name_catches() -> None:
    catch = [{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "Caught"}]
    states = {"T": TOKEN | {"TimeoutSeconds": 60, "HeartbeatSeconds": 5, "Catch": catch}, "Caught": PASS}
    played = Simulation(a_definition(states))
    played.begin({})
    played.at_ms += 4000
    played.send(TaskHeartbeat(3))
    played.go_on()
    assert played.details("TaskTimedOut")[0]["error"] == "States.Timeout"
    assert played.at_ms - START_MS == 9000, "the heartbeat has not moved the time"
    assert played.output == {"Error": "States.Timeout", "Cause": ""}
    assert CancelTask(3) in played.effects


def test_retriers_count_for_themselves_and_back_off() -> None:
    retry = [
        {"ErrorEquals": ["A"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 3, "MaxDelaySeconds": 10},
        {"ErrorEquals": ["B"], "MaxAttempts": 1},
    ]
    states = {"T": BY_ARN | {"Retry": retry}}
    played = simulate(states, {}, [error("A"), error("B"), error("A"), error("A"), error("B")])
    delays = [set.due_ms for set in played.all_of(SetTimer) if set.timer.startswith("retry")]
    at = START_MS
    seen = []
    for due in delays:
        seen.append(due - at)
        at = due
    assert seen == [2000, 1000, 6000, 10000]
    assert played.state.error == "B"
    assert len(played.all_of(StartTask)) == 5


def test_full_jitter_draws_from_the_decision() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 8, "JitterStrategy": "FULL"}]
    played = simulate({"T": BY_ARN | {"Retry": retry}}, {}, [error("A"), 1])
    assert played.at_ms - START_MS == 4000


def test_a_year_of_waiting_is_one_timer() -> None:
    played = Simulation(a_definition({"W": {"Type": "Wait", "Seconds": 31_000_000}}))
    played.play({})
    assert played.at_ms - START_MS == 31_000_000_000
    assert len(played.events) == 4


def test_variables_are_seen_inside_and_vanish_outside() -> None:
    inner = {"X": {"Type": "Pass", "Assign": {"mine.$": "$"}, "Next": "Y"}, "Y": {"Type": "Pass", "Parameters": {
        "outer.$": "$outer", "mine.$": "$mine"}}}  # fmt: skip
    states = {
        "A": {"Type": "Pass", "Assign": {"outer": "o"}},
        "M": a_map(inner),
        "B": {"Type": "Pass", "Parameters": {"outer.$": "$outer", "was.$": "$"}},
    }
    played = simulate(states, [1, 2])
    assert played.output == {"outer": "o", "was": [{"outer": "o", "mine": 1}, {"outer": "o", "mine": 2}]}
    assert played.details("PassStateExited")[0]["assignedVariables"] == {"outer": '"o"'}


def test_items_are_selected_with_their_place() -> None:
    selector = {"n.$": "$$.Map.Item.Index", "item.$": "$$.Map.Item.Value", "all.$": "$.items"}
    inner = {"X": {"Type": "Pass", "Parameters": {"in.$": "$", "again.$": "$$.Map.Item.Value"}}}
    states = {"M": a_map(inner, ItemsPath="$.items", ItemSelector=selector, MaxConcurrency=0)}
    played = simulate(states, {"items": ["a", "b"]})
    assert played.output == [
        {"in": {"n": 0, "item": "a", "all": ["a", "b"]}, "again": "a"},
        {"in": {"n": 1, "item": "b", "all": ["a", "b"]}, "again": "b"},
    ]


@pytest.mark.parametrize(
    ("path", "shown"), [("$.items", "$.items"), ("$$.Execution.Input", "$.Execution.Input"), ("$$", "$")]
)
def test_what_is_no_array_is_named_by_its_path(path: str, shown: str) -> None:
    played = simulate({"M": a_map({"X": PASS}, ItemsPath=path)}, {"items": 1})
    assert played.state.cause is not None
    assert f'Reference path "{shown}" must point to array.' in played.state.cause


def test_inline_map_runs_forty_at_once_and_keeps_the_order() -> None:
    played = Simulation(a_definition({"M": a_map({"X": BY_ARN}, MaxConcurrency=0)}))
    played.begin(list(range(100)))
    assert len(played.all_of(StartTask)) == 40
    for asked in reversed(played.all_of(StartTask)):
        played.send(TaskSucceeded(asked.task_id, asked.parameters))
    while not played.state.closed:
        played.send(*[TaskSucceeded(task.task_id, task.parameters) for task in played.all_of(StartTask)])
    assert played.output == list(range(100))


def test_siblings_of_a_failure_give_their_work_up() -> None:
    branches = a_parallel({"X": BY_ARN}, {"Y": TOKEN}, {"Z": {"Type": "Wait", "Seconds": 60}}, Catch=CATCH)

    def script(effect: Any) -> Any:
        return error("Broken")(effect) if effect.kind == "lambda-function" else None

    played = simulate({"P": branches, "Caught": PASS}, {}, script)
    token_task = next(task.task_id for task in played.all_of(StartTask) if task.pattern)
    assert played.all_of(CancelTask) == [CancelTask(token_task)]
    assert played.at_ms == START_MS
    assert [event.split()[1] for event in played.history if "Aborted" in event] == [
        "TaskStateAborted←11",
        "TaskStateAborted←11",
        "WaitStateAborted←11",
    ]


def test_result_that_is_too_large_is_a_failure_of_the_task() -> None:
    played = simulate({"T": BY_ARN | {"Catch": CATCH}, "Caught": PASS}, {}, ["x" * 300_000])
    assert played.details("LambdaFunctionFailed") == [
        {
            "error": "States.DataLimitExceeded",
            "cause": f"The state/task '{FUNCTION}' returned a result with a size exceeding the maximum number of bytes "
            "service limit.",
        }
    ]
    assert played.output["Error"] == "States.DataLimitExceeded"


def test_output_that_is_too_large_ends_a_pass() -> None:
    state = {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$"}}
    played = simulate({"A": state}, "é" * 80_000)
    assert played.history[-1] == "3 ExecutionFailed←2"
    assert played.state.error == "States.DataLimitExceeded"


def test_deleted_activity_is_told_before_anything_is_scheduled() -> None:
    played = Simulation(a_definition({"T": {"Type": "Task", "Resource": ACTIVITY}}), missing=frozenset({ACTIVITY}))
    played.play({})
    assert played.history[-1] == "3 ExecutionFailed←2"
    assert played.state.error == "States.Runtime"
    assert played.state.cause == (
        "An error occurred while executing the state 'T' (entered at the event id #2). "
        f"The activity {ACTIVITY} does not exist."
    )


def test_decision_that_carries_much_data_is_cut_sooner() -> None:
    played = Simulation(a_definition({f"S{number}": PASS for number in range(30)}))
    played.begin("x" * 200_000)
    assert 20 < len(played.events) < 30
    played.go_on()
    assert played.state.status == "SUCCEEDED"


def test_endless_loop_of_an_express_execution_is_cut_into_decisions() -> None:
    states = {"A": PASS, "B": {"Type": "Choice", "Choices": [{"Variable": "$", "IsPresent": True, "Next": "A"}]}}
    from tests.support.simulated_execution import an_identity

    played = Simulation(a_definition(states), identity=an_identity(express=True))
    played.begin({})
    first = len(played.events)
    assert 1000 <= first < 1010
    assert played.inbox
    played.send(*played.inbox)
    assert len(played.events) > first
    assert not played.all_of(ExecutionEnded)
