"""How the API words what is wrong with a definition."""

from __future__ import annotations

import json

import pytest

from gateway.states_api.definitions import check_definition
from hearth.errors import ApiError


def labelled(label: str) -> str:
    inner = {"StartAt": "X", "States": {"X": {"Type": "Pass", "End": True}}}
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **inner}
    state = {"Type": "Map", "ItemProcessor": processor, "Label": label, "End": True}
    return json.dumps({"StartAt": "M", "States": {"M": state}})


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("label_ ", "[\"Label contains invalid character: ' '\"]"),
        ("label_\\", "[\"Label contains invalid character: '\\\\\\\\'\"]"),
        ('label_"', "['Label contains invalid character: \\'\"\\'']"),
        ("label_\x85", "[\"Label contains invalid character: '\\\\x85'\"]"),
        ("", "['Label cannot be empty']"),
        ("x" * 41, "['Label cannot exceed 40 characters']"),
    ],
)
def test_refused_labels_are_worded_as_recorded(label: str, problem: str) -> None:
    text = labelled(label)
    with pytest.raises(ApiError) as refused:
        check_definition(text, "STANDARD")
    assert refused.value.message == f"Error=ValueError Args={problem} in definition '{text}'."


def test_other_findings_are_listed() -> None:
    with pytest.raises(ApiError) as refused:
        check_definition('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}', "STANDARD")
    assert refused.value.message.startswith("Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: ")
