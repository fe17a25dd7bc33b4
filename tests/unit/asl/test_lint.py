"""What is wrong with a definition, in the service's words and at its place: one broken definition a rule."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hearth.asl.lint import lint, lint_document, lint_state

PASS = {"Type": "Pass", "End": True}
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


def machine(state: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": PASS if state is None else {**PASS, **state}}, **fields}


def found(document: dict[str, Any], machine_type: str = "STANDARD") -> list[str]:
    return [str(one) for one in lint_document(document, machine_type)]


def schema(text: str, location: str = "/States/S") -> list[str]:
    return [f"SCHEMA_VALIDATION_FAILED: {text} at {location}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object at null"),
        ("[]", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object at null"),
        ("{}", "SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /"),
        ('{"States": {"S": {"Type": "Pass", "End": true}}}', "SCHEMA_VALIDATION_FAILED: These fields are required: "
         "[StartAt] at /"),
        (
            "not a definition",
            "INVALID_JSON_DESCRIPTION: Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or "
            "token 'null', 'true' or 'false')\n at [Source: (String)\"not a definition\"; line: 1, column: 4] at "
            '[Source: (String)"not a definition"; line: 1, column: 4]',
        ),
    ],
)  # fmt: skip
def test_what_is_no_definition(text: str, expected: str) -> None:
    assert [str(one) for one in lint(text)] == [expected]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"Type": "Nope"}, schema(
            "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, "
            "Map]",
            "/States/S/Type")),
        ({"TimeoutSeconds": 3}, schema("Field 'TimeoutSeconds' is not supported")),
        ({"Retry": []}, schema("Field 'Retry' is not supported")),
        ({"Output": 1}, schema("The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the "
                               "'JSONata' QueryLanguage")),
        ({"QueryLanguage": "JSONata", "InputPath": "$"}, schema(
            "The QueryLanguage is set to 'JSONata', but field 'InputPath' is only supported for the 'JSONPath' "
            "QueryLanguage")),
        ({"ResultPath": "$.a[*]"}, schema("Value is not a Reference Path", "/States/S/ResultPath")),
        ({"Parameters": {"parsed.$": "States.Nope()"}}, schema(
            "The value for the field 'parsed.$' must be a valid JSONPath or a valid intrinsic function call",
            "/States/S/Parameters")),
        ({"Type": "Wait", "Timestamp": "2016-12-05 21:29:29Z"}, schema(
            "String does not match RFC3339 timestamp", "/States/S/Timestamp")),
        ({"Type": "Wait", "Seconds": 100_000_000}, schema("Maximum value is 99999999", "/States/S/Seconds")),
        ({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s"}, schema(
            "There should only be one of the following fields: [Seconds, SecondsPath]")),
        ({"Type": "Parallel", "Branches": []}, schema("Value cannot be empty", "/States/S/Branches")),
        ({"Type": "Task", "Resource": "arn:aws:states:::dynamodb:query"}, schema(
            "The resource provided arn:aws:states:::dynamodb:query is not recognized. The value is not a valid "
            "resource ARN, or the resource is not available in this region.", "/States/S/Resource")),
        ({"Type": "Task", "Resource": FUNCTION, "Credentials": {}}, schema(
            "The field 'RoleArn' is required but was missing", "/States/S/Credentials")),
        ({"Type": "Task", "Resource": FUNCTION, "TimeoutSeconds": 1, "TimeoutSecondsPath": "$.t"}, schema(
            "There should only be one of the following fields: [TimeoutSeconds, TimeoutSecondsPath]")),
        ({"QueryLanguage": "JSONata", "Output": {"v": "{% name %}"}}, [
            "UNSUPPORTED_JSONATA_EXPRESSION: Reference to 'name' at the top level is not supported. at "
            "/States/S/Output/v"]),
        ({"QueryLanguage": "JSONata", "Output": "{% $states.input. %}"}, [
            "INVALID_JSONATA_EXPRESSION: Unexpected end of expression at /States/S/Output"]),
        ({"QueryLanguage": "JSONata", "Output": "{% [1, 2 %}"}, [
            'INVALID_JSONATA_EXPRESSION: Expected "]" before end of expression at /States/S/Output']),
        ({"Next": "T", "End": False}, ["MISSING_TRANSITION_TARGET: Missing 'Next' target: T at /States/S/Next",
                                       "MISSING_END_STATE: Workflow has no terminal state at null"]),
    ],
)  # fmt: skip
def test_broken_state(state: dict[str, Any], expected: list[str]) -> None:
    assert found(machine(state)) == expected


def test_language_of_a_whole_machine_is_not_changed_back() -> None:
    document = machine({"QueryLanguage": "JSONPath"}, QueryLanguage="JSONata")
    assert found(document) == schema(
        "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
    )


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken",
         "Express state machine does not support '.waitForTaskToken' service integration "),
        ("arn:aws:states:::states:startExecution.sync", "Express state machine does not support '.sync' service "
         "integration"),
        ("arn:aws:states:us-east-1:000000000000:activity:a", "Express state machine does not support Activity ARN"),
    ],
)  # fmt: skip
def test_what_express_machines_lack(resource: str, expected: str) -> None:
    document = machine({"Type": "Task", "Resource": resource})
    assert found(document) == []
    assert found(document, "EXPRESS") == schema(expected, "/States/S/Resource")


def test_states_that_nothing_leads_to_and_names_used_twice() -> None:
    branch = {"StartAt": "A", "States": {"A": PASS, "B": PASS}}
    document = {"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [branch], "Next": "A"}, "A": PASS}}
    assert found(document) == [
        "DUPLICATE_STATE_NAME: Duplicate state name: A at /States/A",
        'MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/P/Branches[0]/States/B',
    ]


def test_every_place_that_names_a_state_is_looked_at() -> None:
    task = {
        "Type": "Task",
        "Resource": FUNCTION,
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Y"}],
        "End": True,
    }
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "X"}], "Default": "Z"}
    document = {"StartAt": "C", "States": {"C": choice, "T": task}}
    assert [one.location for one in lint_document(document) if "target" in one.message] == [
        "/States/C/Default",
        "/States/C/Choices[0]/Next",
        "/States/T/Catch[0]/Next",
    ]


def test_variables_of_outer_scopes_are_not_assigned_inside() -> None:
    inside = {"StartAt": "I", "States": {"I": {**PASS, "Assign": {"x": 1}}}}

    def document(mode: dict[str, Any]) -> dict[str, Any]:
        return {
            "StartAt": "A",
            "States": {
                "A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "M"},
                "M": {"Type": "Map", "ItemProcessor": {**inside, **mode}, "End": True},
            },
        }

    assert len(found(document({}))) == 1
    # children of a distributed Map see none of them
    assert found(document({"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}})) == []


def test_one_state_may_point_anywhere() -> None:
    assert lint_state(orjson.dumps({"Type": "Pass", "Next": "Elsewhere"}).decode()) == []


@pytest.mark.parametrize(
    ("state", "code", "location"),
    [
        ({"Parameters": {"a": {"b": "$.c"}}}, "NO_DOLLAR", "/States/S/Parameters/a/b"),
        ({"Parameters": {"a": "States.UUID()"}}, "NO_DOLLAR", "/States/S/Parameters/a"),
        ({"Result": {"a.$": "$.b"}}, "PASS_RESULT_IS_STATIC", "/States/S/Result/a.$"),
        (
            {"Type": "Choice", "Choices": [{"Variable": "$.a", "StringEquals": "$.b", "Next": "T"}]},
            "NO_PATH",
            "/States/S/Choices[0]/StringEquals",
        ),
    ],
)
def test_what_is_probably_meant_otherwise_is_a_warning(state: dict[str, Any], code: str, location: str) -> None:
    document = machine(state)
    if "Choices" in state:
        del document["States"]["S"]["End"]
        document["States"]["T"] = PASS
    assert [(one.severity, one.code, one.location) for one in lint_document(document)] == [("WARNING", code, location)]


def test_what_nobody_could_walk_is_refused() -> None:
    deep = '{"StartAt": "S", "States": {"S": {"Type": "Pass", "End": true, "Result": ' + "[" * 900 + "]" * 900 + "}}}"
    assert [str(one) for one in lint(deep)] == ["SCHEMA_VALIDATION_FAILED: Definition is nested too deeply at /"]
