"""A state's data flow in both languages, table by table."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.asl.errors import StateError
from hearth.asl.parse import compile_state
from hearth.asl.scope import Scope

INPUT = {"a": {"b": 1}, "list": [1, 2, 3], "keep": True}
CONTEXT = {"Execution": {"Name": "run-1", "Input": INPUT}, "State": {"Name": "S"}}
VARIABLES = {"v": {"x": 7}, "n": 2}


def scope(value: Any = INPUT) -> Scope:
    return Scope(value, CONTEXT, VARIABLES)


def passed(fields: dict[str, Any], value: Any = INPUT) -> tuple[Any, Any]:
    state = compile_state({"Type": "Pass", "End": True, **fields}, "S")
    here = scope(value)
    result = state.flow.effective_input(here)
    if "Result" in fields:
        result = fields["Result"]
    left = state.flow.leave(here, result)
    return left.output, left.assigned


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, INPUT),
        ({"InputPath": "$.a"}, {"b": 1}),
        ({"InputPath": None}, {}),
        ({"OutputPath": None}, {}),
        ({"InputPath": "$$.Execution.Name"}, "run-1"),
        ({"InputPath": "$v.x"}, 7),
        ({"Parameters": {"c.$": "$.a.b", "d": "$.a.b"}}, {"c": 1, "d": "$.a.b"}),
        ({"InputPath": "$.a", "Parameters": {"c.$": "$.b"}}, {"c": 1}),
        ({"Result": 5, "ResultPath": "$.r"}, {**INPUT, "r": 5}),
        ({"Result": 5, "ResultPath": "$.a.c.d"}, {**INPUT, "a": {"b": 1, "c": {"d": 5}}}),
        ({"Result": 5, "ResultPath": "$.list[1]"}, {**INPUT, "list": [1, 5, 3]}),
        ({"Result": 5, "ResultPath": None}, INPUT),
        ({"Result": {"c.$": "$.a"}}, {"c.$": "$.a"}),
        ({"InputPath": "$.a", "ResultPath": "$.r"}, {**INPUT, "r": {"b": 1}}),
        ({"Result": 5, "ResultPath": "$.r", "OutputPath": "$.r"}, 5),
        ({"InputPath": "$.list[*]"}, [1, 2, 3]),
        ({"InputPath": "$.none[*]"}, []),
    ],
)
def test_jsonpath_pass(fields: dict[str, Any], output: Any) -> None:
    assert passed(fields)[0] == output


def test_the_raw_input_is_not_changed() -> None:
    before = {"a": {"b": 1}}
    passed({"Result": 5, "ResultPath": "$.a.b"}, before)
    assert before == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("fields", "assigned"),
    [
        ({"Assign": {"x": 1, "y.$": "$.a.b"}}, {"x": 1, "y": 1}),
        ({"Result": {"answer": 42}, "Assign": {"y.$": "$.answer"}}, {"y": 42}),
        ({"Parameters": {"i": 3}, "Assign": {"y.$": "$.i", "z.$": "$n"}}, {"y": 3, "z": 2}),
        ({}, {}),
    ],
)
def test_assign_sees_the_result_and_the_variables_on_entry(fields: dict[str, Any], assigned: Any) -> None:
    assert passed(fields)[1] == assigned


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"InputPath": "$.no"}, "Invalid path '$.no' : No results for path: $['no']"),
        ({"OutputPath": "$.no.such.path"}, "Invalid path '$.no.such.path' : Missing property in path $['no']"),
        (
            {"Parameters": {"value.$": "$.no"}},
            "The JSONPath '$.no' specified for the field 'value.$' could not be found in the input "
            '\'{"a":{"b":1},"list":[1,2,3],"keep":true}\'',
        ),
    ],
)
def test_a_path_to_nothing_is_a_runtime_error_that_nothing_catches(fields: dict[str, Any], cause: str) -> None:
    with pytest.raises(StateError) as failed:
        passed(fields)
    assert (failed.value.error, failed.value.cause, failed.value.catchable) == ("States.Runtime", cause, False)


def test_result_path_into_what_is_no_object_can_be_caught() -> None:
    with pytest.raises(StateError) as failed:
        passed({"Result": 1, "ResultPath": "$.x"}, "text")
    assert (failed.value.error, failed.value.catchable) == ("States.ResultPathMatchFailure", True)


@pytest.mark.parametrize(
    ("fields", "output", "assigned"),
    [
        ({}, INPUT, {}),
        ({"Output": "{% $states.input.a %}"}, {"b": 1}, {}),
        ({"Output": {"x": "{% $v.x + $n %}", "lit": " {% 1 %}"}}, {"x": 9, "lit": " {% 1 %}"}, {}),
        ({"Assign": {"n": "{% $n + 1 %}"}, "Output": "{% $n %}"}, 2, {"n": 3}),
        ({"Output": "{% $states.context.Execution.Name %}"}, "run-1", {}),
        ({"Output": "{% null %}"}, None, {}),
        ({"Output": ["{% $sum($states.input.list) %}", "x"]}, [6, "x"], {}),
    ],
)
def test_jsonata_pass(fields: dict[str, Any], output: Any, assigned: Any) -> None:
    assert passed({"QueryLanguage": "JSONata", **fields}) == (output, assigned)


def test_inspection_notes_the_steps_under_the_names_of_the_api() -> None:
    state = compile_state({"Type": "Pass", "InputPath": "$.a", "ResultPath": "$.r", "End": True}, "S")
    here = scope({"a": 1})
    here.inspection = {}
    state.flow.leave(here, state.flow.effective_input(here))
    assert here.inspection == {
        "afterInputPath": 1,
        "afterParameters": 1,
        "afterResultSelector": 1,
        "afterResultPath": {"a": 1, "r": 1},
    }
