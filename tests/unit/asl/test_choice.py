"""Rules of Choice states: every operator, on values of its type and of others."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.asl import choice
from hearth.asl.definition import ChoiceState
from hearth.asl.errors import StateError
from hearth.asl.parse import compile_state
from hearth.asl.scope import Scope

T1, T2 = "2024-01-01T00:00:00Z", "2024-01-01T01:00:00.5+00:30"


def chosen(rule: dict[str, Any], value: Any, language: str = "JSONPath", **more: Any) -> str:
    fields = {"Type": "Choice", "QueryLanguage": language, "Choices": [{**rule, "Next": "yes"}], **more}
    state = compile_state(fields, "S")
    assert isinstance(state, ChoiceState)
    return state.choose(Scope(value, {"State": {"Name": "S"}}, {"v": 5}))[0]


def holds(rule: dict[str, Any], value: Any) -> bool:
    return chosen(rule, value, Default="no") == "yes"


@pytest.mark.parametrize("name", sorted(choice.COMPARISONS))
def test_comparison_is_false_for_values_of_another_type(name: str) -> None:
    values: dict[str, Any] = {"String": "b", "Numeric": 5, "Boolean": True, "Timestamp": T1}
    expected = next(value for prefix, value in values.items() if name.startswith(prefix))
    for value in ["text", 5, True, T1, None, [], {}]:
        compared = holds({"Variable": "$.x", name: expected}, {"x": value})
        if isinstance(value, type(expected)) and value == expected:
            assert compared is ("Equals" in name)
        elif type(value) is not type(expected):
            assert compared is False
        assert compared is holds({"Variable": "$.x", f"{name}Path": "$.y"}, {"x": value, "y": expected})


@pytest.mark.parametrize(
    ("name", "smaller", "bigger"),
    [("String", "a", "b"), ("Numeric", 1, 1.5), ("Timestamp", T1, T2)],
)
def test_order(name: str, smaller: Any, bigger: Any) -> None:
    for relation, answers in {
        "Equals": (False, True, False),
        "LessThan": (True, False, False),
        "LessThanEquals": (True, True, False),
        "GreaterThan": (False, False, True),
        "GreaterThanEquals": (False, True, True),
    }.items():
        pairs = ((smaller, bigger), (bigger, bigger), (bigger, smaller))
        for (left, right), answer in zip(pairs, answers, strict=True):
            assert holds({"Variable": "$.x", f"{name}{relation}": right}, {"x": left}) is answer


@pytest.mark.parametrize(
    ("name", "of"),
    [("IsNull", [None]), ("IsNumeric", [5, 1.5]), ("IsString", ["", T1]), ("IsBoolean", [True, False]),
     ("IsTimestamp", [T1])],
)  # fmt: skip
def test_types(name: str, of: list[Any]) -> None:
    for value in [None, 5, 1.5, "", T1, True, False, [], {}]:
        answer = any(value is one or (type(value) is type(one) and value == one) for one in of)
        assert holds({"Variable": "$.x", name: True}, {"x": value}) is answer
        assert holds({"Variable": "$.x", name: False}, {"x": value}) is not answer


def test_presence_and_what_it_guards() -> None:
    present = {"Variable": "$.x", "IsPresent": True}
    assert holds(present, {"x": None})
    assert not holds(present, {})
    assert holds({"Variable": "$.x.y", "IsPresent": False}, {"x": 1})
    guarded = {"And": [present, {"Variable": "$.x", "NumericGreaterThan": 1}]}
    assert (holds(guarded, {}), holds(guarded, {"x": 2})) == (False, True)
    assert holds({"Not": present}, {})
    assert holds({"Or": [{"Variable": "$v", "NumericEquals": 5}, present]}, {})
    assert holds({"Variable": "$$.State.Name", "StringEquals": "S"}, {})


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [("log-*.txt", "log-1.txt", True), ("log-*.txt", "log-.txt", True), ("log-*.txt", "log-1.txt.gz", False),
     ("*a*b*", "xxaxxbxx", True), ("*a*b*", "xxbxxaxx", False), ("a*a", "a", False), ("plain", "plain", True),
     (r"a\*b", "a*b", True), (r"a\*b", "axb", False), (r"a\\*", "a\\xyz", True), ("*", "", True)],
)  # fmt: skip
def test_wildcards(pattern: str, text: str, answer: bool) -> None:
    assert holds({"Variable": "$.x", "StringMatches": pattern}, {"x": text}) is answer


def test_variable_that_points_to_nothing_fails_the_execution() -> None:
    with pytest.raises(StateError) as failed:
        chosen({"Variable": "$.no", "IsNull": True}, {}, Default="no")
    assert not failed.value.catchable
    cause = "Invalid path '$.no': The choice state's condition path references an invalid value."
    assert failed.value.cause == cause


def test_nothing_matches() -> None:
    with pytest.raises(StateError) as failed:
        chosen({"Variable": "$.x", "IsNull": True}, {"x": 1})
    assert failed.value.error == "States.Runtime"
    cause = "Failed to transition out of the state. The state does not point to a next state."
    assert failed.value.cause == cause


def test_jsonata_conditions() -> None:
    assert chosen({"Condition": "{% $states.input.x > $v %}"}, {"x": 6}, "JSONata", Default="no") == "yes"
    assert chosen({"Condition": False}, {}, "JSONata", Default="no") == "no"
    with pytest.raises(StateError) as failed:
        chosen({"Condition": "{% 'text' %}"}, {}, "JSONata", Default="no")
    assert failed.value.location == "Choices[0]/Condition"
    assert "Expected 'boolean', but was 'string' for value: \"text\"" in failed.value.cause
