"""The exact events of each state type, in order, with the events they name as previous; as recorded from AWS."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.effects import StartTask
from orchestrator.core.signals import TaskFailed, TaskStarted, TaskSubmitted, TaskSucceeded
from tests.support.simulated_execution import Simulation, a_definition, error, simulate

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:work"
ACTIVITY = "arn:aws:states:us-east-1:000000000000:activity:work"
INVOKE = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "work"}}
BY_ARN = {"Type": "Task", "Resource": FUNCTION}
PASS = {"Type": "Pass"}
FAIL = {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}
CATCH = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
RETRY = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]
TOKEN = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {"QueueUrl": "q", "MessageBody": {"Token.$": "$$.Task.Token"}},
}


def branch(states: dict[str, Any]) -> dict[str, Any]:
    names = list(states)
    made = {}
    for name, following in zip(names, [*names[1:], None], strict=True):
        ends = {"End": True} if following is None else {"Next": following}
        made[name] = states[name] | ({} if states[name]["Type"] in ("Fail", "Succeed", "Choice") else ends)
    return {"StartAt": names[0], "States": made}


def a_map(states: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"Type": "Map", "MaxConcurrency": 1, "ItemProcessor": branch(states)} | members


def a_parallel(*branches: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"Type": "Parallel", "Branches": [branch(states) for states in branches]} | members


def submitted_then(*outcome: Any) -> Any:
    """A token task's script: the call returns, then the token comes back."""

    def script(effect: Any) -> Any:
        if not isinstance(effect, StartTask):
            return None
        last = (
            [TaskFailed(effect.task_id, "Refused", "no")]
            if outcome == ("failed",)
            else [TaskSucceeded(effect.task_id, '{"ok":true}')]
        )
        return [TaskSubmitted(effect.task_id, '{"MessageId":"1"}'), *(last if outcome else [])]

    return script


CASES: dict[str, tuple[dict[str, Any], Any, Any, str]] = {
    "pass": ({"A": PASS}, {}, None, "PassStateEntered←0 PassStateExited←2 ExecutionSucceeded←3"),
    "pass, pass": (
        {"A": PASS, "B": PASS},
        {},
        None,
        "PassStateEntered←0 PassStateExited←2 PassStateEntered←3 PassStateExited←4 ExecutionSucceeded←5",
    ),
    "choice": (
        {
            "C": {"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "A"}]},
            "A": PASS,
        },
        {"x": 1},
        None,
        "ChoiceStateEntered←0 ChoiceStateExited←2 PassStateEntered←3 PassStateExited←4 ExecutionSucceeded←5",
    ),
    "choice without a match": (
        {
            "C": {"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "A"}]},
            "A": PASS,
        },
        {"x": 2},
        None,
        "ChoiceStateEntered←0 ExecutionFailed←2",
    ),
    "wait": (
        {"W": {"Type": "Wait", "Seconds": 5}},
        {},
        None,
        "WaitStateEntered←0 WaitStateExited←2 ExecutionSucceeded←3",
    ),
    "wait, bad path": (
        {"W": {"Type": "Wait", "SecondsPath": "$.s"}},
        {"s": "x"},
        None,
        "WaitStateEntered←0 ExecutionFailed←2",
    ),
    "succeed": (
        {"S": {"Type": "Succeed"}},
        {},
        None,
        "SucceedStateEntered←0 SucceedStateExited←2 ExecutionSucceeded←3",
    ),
    "fail": ({"F": FAIL}, {}, None, "FailStateEntered←0 ExecutionFailed←2"),
    "function by ARN": (
        {"T": BY_ARN},
        {},
        [1],
        "TaskStateEntered←0 LambdaFunctionScheduled←2 LambdaFunctionStarted←3 LambdaFunctionSucceeded←4 "
        "TaskStateExited←5 ExecutionSucceeded←6",
    ),
    "function by ARN fails": (
        {"T": BY_ARN},
        {},
        [error("E", "c")],
        "TaskStateEntered←0 LambdaFunctionScheduled←2 LambdaFunctionStarted←3 LambdaFunctionFailed←4 ExecutionFailed←5",
    ),
    "function by ARN times out": (
        {"T": BY_ARN | {"TimeoutSeconds": 5}},
        {},
        [None],
        "TaskStateEntered←0 LambdaFunctionScheduled←2 LambdaFunctionStarted←3 LambdaFunctionTimedOut←4 "
        "ExecutionFailed←5",
    ),
    "function by ARN fails and is caught": (
        {"T": BY_ARN | {"Catch": CATCH}, "Caught": PASS},
        {},
        [error("E", "c")],
        "TaskStateEntered←0 LambdaFunctionScheduled←2 LambdaFunctionStarted←3 LambdaFunctionFailed←4 "
        "TaskStateExited←5 PassStateEntered←6 PassStateExited←7 ExecutionSucceeded←8",
    ),
    "function by ARN is retried": (
        {"T": BY_ARN | {"Retry": RETRY}},
        {},
        [error("E"), error("E"), 1],
        "TaskStateEntered←0 LambdaFunctionScheduled←2 LambdaFunctionStarted←3 LambdaFunctionFailed←4 "
        "LambdaFunctionScheduled←5 LambdaFunctionStarted←6 LambdaFunctionFailed←7 LambdaFunctionScheduled←8 "
        "LambdaFunctionStarted←9 LambdaFunctionSucceeded←10 TaskStateExited←11 ExecutionSucceeded←12",
    ),
    "bad OutputPath after success, with Catch": (
        {"T": BY_ARN | {"OutputPath": "$.no", "Catch": CATCH}, "Caught": PASS},
        {},
        [{}],
        "TaskStateEntered←0 LambdaFunctionScheduled←2 LambdaFunctionStarted←3 LambdaFunctionSucceeded←4 "
        "ExecutionFailed←5",
    ),
    "lambda:invoke": (
        {"T": INVOKE},
        {},
        [1],
        "TaskStateEntered←0 TaskScheduled←2 TaskStarted←3 TaskSucceeded←4 TaskStateExited←5 ExecutionSucceeded←6",
    ),
    "lambda:invoke times out": (
        {"T": INVOKE | {"TimeoutSeconds": 1}},
        {},
        [None],
        "TaskStateEntered←0 TaskScheduled←2 TaskStarted←3 TaskTimedOut←4 ExecutionFailed←5",
    ),
    "callback": (
        {"T": TOKEN},
        {},
        submitted_then("succeeded"),
        "TaskStateEntered←0 TaskScheduled←2 TaskStarted←3 TaskSubmitted←4 TaskSucceeded←5 TaskStateExited←6 "
        "ExecutionSucceeded←7",
    ),
    "callback fails": (
        {"T": TOKEN},
        {},
        submitted_then("failed"),
        "TaskStateEntered←0 TaskScheduled←2 TaskStarted←3 TaskSubmitted←4 TaskFailed←5 ExecutionFailed←6",
    ),
    "callback times out": (
        {"T": TOKEN | {"TimeoutSeconds": 9}},
        {},
        submitted_then(),
        "TaskStateEntered←0 TaskScheduled←2 TaskStarted←3 TaskSubmitted←4 TaskTimedOut←5 ExecutionFailed←6",
    ),
    "activity": (
        {"T": {"Type": "Task", "Resource": ACTIVITY}},
        {},
        lambda effect: [TaskStarted(effect.task_id, "w"), TaskSucceeded(effect.task_id, "1")],
        "TaskStateEntered←0 ActivityScheduled←2 ActivityStarted←3 ActivitySucceeded←4 TaskStateExited←5 "
        "ExecutionSucceeded←6",
    ),
    "activity that nobody takes": (
        {"T": {"Type": "Task", "Resource": ACTIVITY, "TimeoutSeconds": 3}},
        {},
        None,
        "TaskStateEntered←0 ActivityScheduled←2 ActivityTimedOut←3 ExecutionFailed←4",
    ),
    "parallel": (
        {"P": a_parallel({"X": PASS}, {"Y": PASS})},
        {},
        None,
        "ParallelStateEntered←0 ParallelStateStarted←2 PassStateEntered←3 PassStateExited←4 PassStateEntered←3 "
        "PassStateExited←6 ParallelStateSucceeded←7 ParallelStateExited←7 ExecutionSucceeded←9",
    ),
    "parallel fails": (
        {"P": a_parallel({"X": FAIL})},
        {},
        None,
        "ParallelStateEntered←0 ParallelStateStarted←2 FailStateEntered←3 ParallelStateFailed←4 ExecutionFailed←5",
    ),
    "parallel is retried": (
        {"P": a_parallel({"X": FAIL}, Retry=RETRY)},
        {},
        None,
        "ParallelStateEntered←0 ParallelStateStarted←2 FailStateEntered←3 ParallelStateStarted←4 FailStateEntered←5 "
        "ParallelStateStarted←6 FailStateEntered←7 ParallelStateFailed←8 ExecutionFailed←9",
    ),
    "parallel is caught": (
        {"P": a_parallel({"X": FAIL}, Catch=CATCH), "Caught": PASS},
        {},
        None,
        "ParallelStateEntered←0 ParallelStateStarted←2 FailStateEntered←3 ParallelStateFailed←4 ParallelStateExited←5 "
        "PassStateEntered←6 PassStateExited←7 ExecutionSucceeded←8",
    ),
    "a task in a parallel fails": (
        {"P": a_parallel({"X": TOKEN}, Catch=CATCH), "Caught": PASS},
        {},
        submitted_then("failed"),
        "ParallelStateEntered←0 ParallelStateStarted←2 TaskStateEntered←3 TaskScheduled←4 TaskStarted←5 "
        "TaskSubmitted←6 TaskFailed←7 TaskStateAborted←8 ParallelStateFailed←8 ParallelStateExited←10 "
        "PassStateEntered←11 PassStateExited←12 ExecutionSucceeded←13",
    ),
    "a task in a parallel is retried by the parallel": (
        {"P": a_parallel({"X": INVOKE}, Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 1}])},
        {},
        [error("E"), 1],
        "ParallelStateEntered←0 ParallelStateStarted←2 TaskStateEntered←3 TaskScheduled←4 TaskStarted←5 TaskFailed←6 "
        "TaskStateAborted←7 ParallelStateStarted←7 TaskStateEntered←9 TaskScheduled←10 TaskStarted←11 "
        "TaskSucceeded←12 TaskStateExited←13 ParallelStateSucceeded←14 ParallelStateExited←14 ExecutionSucceeded←16",
    ),
    "States.Runtime in a parallel": (
        {"P": a_parallel({"X": PASS | {"InputPath": "$.no"}}, Catch=CATCH), "Caught": PASS},
        {},
        None,
        "ParallelStateEntered←0 ParallelStateStarted←2 PassStateEntered←3 ExecutionFailed←4",
    ),
    "map, one at a time": (
        {"M": a_map({"X": PASS})},
        [1, 2],
        None,
        "MapStateEntered←0 MapStateStarted←2 MapIterationStarted←3 PassStateEntered←4 PassStateExited←5 "
        "MapIterationSucceeded←6 MapIterationStarted←6 PassStateEntered←8 PassStateExited←9 MapIterationSucceeded←10 "
        "MapStateSucceeded←11 MapStateExited←11 ExecutionSucceeded←13",
    ),
    "map over nothing": (
        {"M": a_map({"X": PASS})},
        [],
        None,
        "MapStateEntered←0 MapStateStarted←2 MapStateSucceeded←3 MapStateExited←3 ExecutionSucceeded←5",
    ),
    "map fails": (
        {"M": a_map({"X": FAIL})},
        [1],
        None,
        "MapStateEntered←0 MapStateStarted←2 MapIterationStarted←3 FailStateEntered←4 MapIterationFailed←5 "
        "MapStateFailed←5 ExecutionFailed←7",
    ),
    "map is retried": (
        {"M": a_map({"X": FAIL}, Retry=[{"ErrorEquals": ["Broken"], "MaxAttempts": 1}])},
        [1],
        None,
        "MapStateEntered←0 MapStateStarted←2 MapIterationStarted←3 FailStateEntered←4 MapIterationFailed←5 "
        "MapStateStarted←5 MapIterationStarted←7 FailStateEntered←8 MapIterationFailed←9 MapStateFailed←9 "
        "ExecutionFailed←11",
    ),
    "map is caught": (
        {"M": a_map({"X": FAIL}, Catch=CATCH), "Caught": PASS},
        [1],
        None,
        "MapStateEntered←0 MapStateStarted←2 MapIterationStarted←3 FailStateEntered←4 MapIterationFailed←5 "
        "MapStateFailed←5 MapStateExited←7 PassStateEntered←8 PassStateExited←9 ExecutionSucceeded←10",
    ),
    "map of maps": (
        {"M": a_map({"N": a_map({"X": PASS})})},
        [[1]],
        None,
        "MapStateEntered←0 MapStateStarted←2 MapIterationStarted←3 MapStateEntered←4 MapStateStarted←5 "
        "MapIterationStarted←6 PassStateEntered←7 PassStateExited←8 MapIterationSucceeded←9 MapStateSucceeded←10 "
        "MapStateExited←10 MapIterationSucceeded←12 MapStateSucceeded←13 MapStateExited←13 ExecutionSucceeded←15",
    ),
    "JSONata fails in a Pass": (
        {"A": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $nothing %}"}},
        {},
        None,
        "PassStateEntered←0 EvaluationFailed←0 ExecutionFailed←3",
    ),
    "JSONata fails in a Task's arguments": (
        {"A": INVOKE | {"QueryLanguage": "JSONata", "Arguments": "{% $nothing %}", "Parameters": None}},
        {},
        None,
        "TaskStateEntered←0 EvaluationFailed←0 ExecutionFailed←3",
    ),
    "JSONata Items that are no array": (
        {"M": a_map({"X": PASS}, QueryLanguage="JSONata", Items="{% 1 %}")},
        {},
        None,
        "MapStateEntered←0 EvaluationFailed←0 MapStateFailed←3 ExecutionFailed←4",
    ),
    "JSONata fails in an iteration": (
        {"M": a_map({"X": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $nothing %}"}})},
        [1],
        None,
        "MapStateEntered←0 MapStateStarted←2 MapIterationStarted←3 PassStateEntered←4 EvaluationFailed←4 "
        "MapIterationFailed←6 MapStateFailed←6 ExecutionFailed←8",
    ),
    "JSONata Timestamp that is none": (
        {"W": {"Type": "Wait", "QueryLanguage": "JSONata", "Timestamp": "{% 'soon' %}"}},
        {},
        None,
        "WaitStateEntered←0 EvaluationFailed←2 ExecutionFailed←3",
    ),
    "MaxConcurrencyPath that is no number": (
        {"M": {key: value for key, value in a_map({"X": PASS}).items() if key != "MaxConcurrency"}
         | {"MaxConcurrencyPath": "$.n", "ItemsPath": "$.items"}},
        {"items": [], "n": "x"},
        None,
        "MapStateEntered←0 ExecutionFailed←2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_history(case: str) -> None:
    states, input, script, expected = CASES[case]
    states = {name: {key: value for key, value in state.items() if value is not None} for name, state in states.items()}
    played = simulate(states, input, script)
    numbered = [f"{number} {event}" for number, event in enumerate(expected.split(), 2)]
    assert played.history == ["1 ExecutionStarted←0", *numbered]
    assert played.state.closed


def test_siblings_of_what_timed_out_are_aborted() -> None:
    """Four tasks at once, whose time runs out at once: all are told, then the first one's failure ends the rest."""
    task = INVOKE | {"TimeoutSeconds": 2}
    played = simulate({"M": a_map({"X": task}, MaxConcurrency=0)}, [1, 2, 3, 4])
    assert played.history == [
        "1 ExecutionStarted←0",
        "2 MapStateEntered←0",
        "3 MapStateStarted←2",
        *[f"{id} MapIterationStarted←3" for id in (4, 5, 6, 7)],
        *[
            f"{id} {event}"
            for id, event in enumerate(
                [
                    event
                    for index in range(4)
                    for event in (f"TaskStateEntered←{4 + index}", f"TaskScheduled←{8 + 2 * index}")
                ],
                8,
            )
        ],
        *[f"{16 + index} TaskStarted←{9 + 2 * index}" for index in range(4)],
        *[f"{20 + index} TaskTimedOut←{16 + index}" for index in range(4)],
        "24 MapIterationFailed←20",
        "25 TaskStateAborted←20",
        *[
            f"{id} {event}←20"
            for id in (26, 28, 30)
            for id, event in ((id, "MapIterationAborted"), (id + 1, "TaskStateAborted"))
        ],
        "32 MapStateFailed←20",
        "33 ExecutionFailed←32",
    ]


def test_stopped_execution_names_no_previous_event() -> None:
    from orchestrator.core.signals import StopRequested

    played = Simulation(a_definition({"W": {"Type": "Wait", "Seconds": 60}}))
    played.begin({})
    played.send(StopRequested("Mine", "enough"))
    assert played.history[-1] == "3 ExecutionAborted←0"
    assert played.details("ExecutionAborted") == [{"error": "Mine", "cause": "enough"}]
    assert played.state.status == "ABORTED"


def test_execution_that_runs_out_of_time() -> None:
    played = simulate({"W": {"Type": "Wait", "Seconds": 60}}, TimeoutSeconds=7)
    assert played.history[-1] == "3 ExecutionTimedOut←0"
    assert played.at_ms - played.identity.started_at_ms == 7000
    assert played.state.status == "TIMED_OUT"


def test_history_has_an_end() -> None:
    """At the limit the last event says so; every further one would have been too many."""
    states = {
        "A": PASS,
        "B": {"Type": "Choice", "Choices": [{"Variable": "$", "IsPresent": True, "Next": "A"}]},
    }
    played = simulate(states)
    assert played.history[-2:] == ["24999 PassStateExited←24998", "25000 ExecutionFailed←24999"]
    assert played.details("ExecutionFailed") == [
        {"error": "States.Runtime", "cause": "The execution reached the maximum number of history events (25000)."}
    ]
