"""TestState: one state tried alone."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hearth.asl.parse import compile_state
from hearth.errors import ApiError
from orchestrator.core.trial import Trial
from orchestrator.core.trial_rules import read_request
from tests.support.simulated_execution import START_MS, an_identity

from .test_histories import INVOKE, PASS, TOKEN, a_map, a_parallel

ROLE = "arn:aws:iam::000000000000:role/r"
MOCKED = {"mock": {"result": '{"Payload":1}'}}


def a_trial(state: dict[str, Any], input: Any = None, **given: Any) -> Trial:
    request = {"input": orjson.dumps({} if input is None else input).decode(), **given}
    compiled = compile_state(
        {"End": True} | state if state["Type"] not in ("Choice", "Fail", "Succeed") else state, "S"
    )
    return Trial(compiled, read_request(request), an_identity(role_arn=""), at_ms=START_MS, random=0.5)


def tried(state: dict[str, Any], input: Any = None, **given: Any) -> dict[str, Any]:
    trial = a_trial(state, input, **given)
    assert trial.begin() is None
    return trial.answer("DEBUG")


def seen(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: orjson.loads(v) if isinstance(v, str) else v for name, v in answer["inspectionData"].items()}


def test_pass_shows_each_step_of_its_data() -> None:
    state = PASS | {"InputPath": "$.a", "Parameters": {"n.$": "$.n"}, "ResultPath": "$.b"}
    answer = tried(state, {"a": {"n": 1}})
    assert seen(answer) == {
        "input": {"a": {"n": 1}},
        "afterInputPath": {"n": 1},
        "afterParameters": {"n": 1},
        "afterResultSelector": {"n": 1},
        "afterResultPath": {"a": {"n": 1}, "b": {"n": 1}},
    }
    assert answer["status"] == "SUCCEEDED"
    assert orjson.loads(answer["output"]) == {"a": {"n": 1}, "b": {"n": 1}}


def test_pass_with_result_shows_no_input_steps() -> None:
    assert set(seen(tried(PASS | {"Result": 1}))) == {"input", "result", "afterResultSelector", "afterResultPath"}


def test_fail_and_choice() -> None:
    answer = tried({"Type": "Fail", "Error": "E", "Cause": "c"}, {"a": 1})
    assert answer == {
        "error": "E",
        "cause": "c",
        "status": "FAILED",
        "inspectionData": {"input": '{"a":1}', "afterInputPath": '{"a":1}'},
    }
    answer = tried({"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "N"}]}, {"a": 1})
    assert (answer["nextState"], answer["status"], answer["output"]) == ("N", "SUCCEEDED", '{"a":1}')


def test_task_asks_for_its_work() -> None:
    trial = a_trial(INVOKE | {"ResultSelector": {"p.$": "$.Payload"}}, roleArn=ROLE)
    asked = trial.begin()
    assert asked is not None
    assert orjson.loads(asked.parameters) == {"FunctionName": "work"}
    trial.succeeded('{"Payload":5}')
    assert trial.answer("INFO") == {"output": '{"p":5}', "status": "SUCCEEDED"}
    assert seen(trial.answer("TRACE"))["result"] == {"Payload": 5}


def test_errors_are_told_bare() -> None:
    answer = tried(PASS | {"InputPath": "$.no"})
    assert answer["error"] == "States.Runtime"
    assert answer["cause"].startswith("Invalid path '$.no'")


def test_retriers_and_catchers_are_named() -> None:
    retry = [{"ErrorEquals": ["X"]}, {"ErrorEquals": ["E"], "MaxAttempts": 5}]
    catch = [{"ErrorEquals": ["X"], "Next": "N"}, {"ErrorEquals": ["States.ALL"], "Next": "M"}]
    state = INVOKE | {"Retry": retry, "Catch": catch}
    mock = {"errorOutput": {"error": "E", "cause": "c"}}
    answer = tried(state, mock=mock, stateConfiguration={"retrierRetryCount": 4})
    assert answer["status"] == "RETRIABLE"
    assert seen(answer)["errorDetails"] == {"retryIndex": 1, "retryBackoffIntervalSeconds": 16}
    answer = tried(state, mock=mock, stateConfiguration={"retrierRetryCount": 5})
    assert (answer["status"], answer["nextState"]) == ("CAUGHT_ERROR", "M")
    assert seen(answer)["errorDetails"] == {"retryIndex": 1, "catchIndex": 1}
    assert orjson.loads(answer["output"]) == {"Error": "E", "Cause": "c"}


def test_map_tolerates_as_many_failures_as_it_says() -> None:
    state = a_map({"X": PASS}, ToleratedFailureCount=1, ItemsPath="$.v")
    given: dict[str, Any] = {"mock": {"result": "[1,1]"}}
    assert tried(state, {"v": [1, 2]}, stateConfiguration={"mapIterationFailureCount": 1}, **given)["status"] == (
        "SUCCEEDED"
    )
    answer = tried(state, {"v": [1, 2]}, stateConfiguration={"mapIterationFailureCount": 2}, **given)
    assert (answer["status"], answer["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert seen(answer) == {
        "input": {"v": [1, 2]},
        "afterInputPath": {"v": [1, 2]},
        "afterItemsPath": [1, 2],
        "maxConcurrency": 1,
        "toleratedFailureCount": 1,
    }


def test_items_are_shown_with_a_blank_between_them_and_none_within() -> None:
    answer = tried(a_map({"X": PASS}, ItemsPath="$.v"), {"v": [{"a": [1, 2]}, "b"]}, mock={"result": "[1]"})
    assert answer["inspectionData"]["afterItemsPath"] == '[{"a":[1,2]}, "b"]'
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    processor = {"ProcessorConfig": config, "StartAt": "X", "States": {"X": PASS}}
    answer = tried({"Type": "Map", "ItemProcessor": processor, "End": True}, {"k": 1}, mock={"result": "[1]"})
    assert answer["inspectionData"]["afterItemsPath"] == '[{"Key":"k","Value":1}]'


def test_parallel_shows_only_its_result() -> None:
    answer = tried(a_parallel({"X": PASS}) | {"ResultPath": "$.r"}, {}, mock={"result": "[1]"})
    assert set(seen(answer)) == {"input", "afterResultSelector", "afterResultPath"}
    assert answer["output"] == '{"r":[1]}'


def test_given_context_is_used_as_it_is() -> None:
    context = '{"Execution":{"Name":"n"},"Task":{"Token":"t"}}'
    trial = a_trial(TOKEN, mock={"result": "{}"}, context=context)
    trial.begin()
    assert seen(trial.answer("DEBUG"))["afterParameters"]["MessageBody"] == {"Token": "t"}


@pytest.mark.parametrize(
    ("state", "given", "message"),
    [
        (PASS, MOCKED, "State type 'Pass' is not supported when a mock is specified"),
        (INVOKE, {}, "RoleArn must be specified when testing a Task state"),
        (INVOKE, {"mock": {"result": "{"}}, "Mocked result must be valid JSON"),
        (
            INVOKE,
            {"mock": {"result": "1", "errorOutput": {}}},
            "A test mock should have only one of the following fields: [result, errorOutput].",
        ),
        (
            INVOKE,
            MOCKED | {"revealSecrets": True},
            "TestState does not support RevealSecrets when a mock is specified.",
        ),
        (a_map({"X": PASS}), MOCKED, "Mocked result must be an array."),
        (
            a_parallel({"X": PASS}),
            {"mock": {"result": "[1,2]"}},
            "Mocked result must contain the same number of items as number of Parallel branches.",
        ),
        (
            a_map({"X": PASS}),
            {},
            "TestState API does not support Map or Parallel states. Supported state types include: "
            "[Task, Wait, Pass, Succeed, Fail, Choice]",
        ),
        (
            a_map({"X": PASS}),
            {"stateConfiguration": {"mapIterationFailureCount": 0}},
            "TestState does not support MapIterationFailureCount when a mock is not specified.",
        ),
        (
            INVOKE,
            MOCKED | {"context": '{"Execution":{"Id":1}}'},
            "Invalid Context object provided: Execution.Id must be a string",
        ),
        (INVOKE, MOCKED | {"context": '{"Other":{}}'}, "Invalid Context object provided: Field 'Other' is not allowed"),
        (
            INVOKE,
            MOCKED | {"context": '{"Map":{}}'},
            "Invalid Context object provided: 'Map' field is not supported when mocking a Context object",
        ),
        (
            INVOKE,
            MOCKED | {"context": '{"Task":{"Token":"t"}}'},
            "Invalid Context object provided: Context object contains 'Task' when state is not a Task state with a "
            "'.sync' or '.waitForTaskToken' service integration pattern",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(state: dict[str, Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        a_trial(state, **given)
    assert refused.value.message == message
