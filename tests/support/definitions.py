"""State machine definitions: good ones of every state type in both query languages, and ways to break them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Definition = dict[str, Any]

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
_END = {"Type": "Pass", "End": True}
_RETRY = [{"ErrorEquals": ["A", "B"], "IntervalSeconds": 2, "MaxAttempts": 4, "BackoffRate": 1.5, "MaxDelaySeconds": 9,
           "JitterStrategy": "FULL"}, {"ErrorEquals": ["States.ALL"]}]  # fmt: skip


def _machine(state: Definition, *more: str, **fields: Any) -> Definition:
    return {"StartAt": "S", "States": {"S": state, **dict.fromkeys(more, _END)}, **fields}


GOOD: dict[str, Definition] = {
    "pass": _machine(
        {"Type": "Pass", "InputPath": "$.a", "Parameters": {"x.$": "$.b", "y": 1}, "ResultPath": "$.r",
         "OutputPath": "$.r", "Next": "T"}, "T", Comment="c", Version="1.0",
        TimeoutSeconds=60, QueryLanguage="JSONPath"),
    "pass assign": _machine({"Type": "Pass", "Assign": {"v.$": "$.x"}, "End": True}),
    "pass result": _machine({"Type": "Pass", "Result": {"a": [1]}, "ResultPath": None, "End": True}),
    "pass jsonata": _machine(
        {"Type": "Pass", "Output": {"a": "{% $states.input.a %}"}, "Assign": {"v": "{% 1 + 1 %}"}, "End": True},
        QueryLanguage="JSONata"),
    "task": _machine(
        {"Type": "Task", "Resource": FUNCTION, "Parameters": {"x.$": "$$.Execution.Name"}, "TimeoutSeconds": 10,
         "HeartbeatSeconds": 5, "ResultSelector": {"r.$": "$.x"}, "ResultPath": "$.r", "Retry": _RETRY,
         "Credentials": {"RoleArn": "arn:aws:iam::000000000000:role/r"},
         "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "T"}], "Next": "T"}, "T"),
    "task paths": _machine(
        {"Type": "Task", "Resource": FUNCTION, "TimeoutSecondsPath": "$.t", "HeartbeatSecondsPath": "$.h",
         "End": True}),
    "task jsonata": _machine(
        {"Type": "Task", "QueryLanguage": "JSONata", "Resource": "arn:aws:states:::lambda:invoke",
         "Arguments": {"FunctionName": "f", "Payload": "{% $states.input %}"}, "TimeoutSeconds": 5,
         "Output": "{% $states.result.Payload %}", "Catch": [
             {"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput %}", "Assign": {"e": 1}, "Next": "T"}],
         "Next": "T"}, "T"),
    "task scalar": _machine(
        {"Type": "Task", "QueryLanguage": "JSONata", "Resource": FUNCTION, "TimeoutSeconds": "{% 5 %}", "End": True}),
    "wait": _machine({"Type": "Wait", "Seconds": 5, "Next": "T"}, "T"),
    "wait timestamp": _machine({"Type": "Wait", "Timestamp": "2024-01-02T03:04:05Z", "End": True}),
    "wait path": _machine({"Type": "Wait", "TimestampPath": "$.t", "End": True}),
    "wait jsonata": _machine({"Type": "Wait", "QueryLanguage": "JSONata", "Seconds": "{% 1 %}", "End": True}),
    "choice": _machine(
        {"Type": "Choice", "Choices": [
            {"Variable": "$.a", "NumericGreaterThanEquals": 1, "Next": "T"},
            {"And": [{"Variable": "$.b", "IsPresent": True}, {"Not": {"Variable": "$.b", "StringMatches": "x*"}}],
             "Next": "T"},
            {"Or": [{"Variable": "$.c", "TimestampEqualsPath": "$.d"}], "Next": "T"}], "Default": "T"}, "T"),
    "choice jsonata": _machine(
        {"Type": "Choice", "QueryLanguage": "JSONata", "Choices": [
            {"Condition": "{% $states.input.a = 1 %}", "Assign": {"x": 1}, "Next": "T"}], "Default": "T"}, "T"),
    "succeed": _machine({"Type": "Succeed", "InputPath": "$.a"}),
    "fail": _machine({"Type": "Fail", "Error": "E", "Cause": "C"}),
    "fail path": _machine({"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}', $.c)"}),
    "parallel": _machine(
        {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": _END}}, {"StartAt": "C", "States": {
            "C": {"Type": "Succeed"}}}], "Retry": _RETRY, "ResultSelector": {"a.$": "$[0]"}, "End": True}),
    "map": _machine(
        {"Type": "Map", "ItemsPath": "$.items", "ItemSelector": {"i.$": "$$.Map.Item.Value"}, "MaxConcurrency": 2,
         "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "I", "States": {"I": _END}},
         "End": True}),
    "map distributed": _machine(
        {"Type": "Map", "MaxConcurrency": 10, "ToleratedFailurePercentage": 5,
         "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I",
                           "States": {"I": _END}},
         "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"},
                        "ReaderConfig": {"MaxItems": 9}},
         "ItemBatcher": {"MaxItemsPerBatch": 5, "BatchInput": {"x": 1}},
         "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}},
         "End": True}),
    "map csv": _machine(
        {"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                                          "StartAt": "I", "States": {"I": _END}},
         "ItemReader": {"Resource": "arn:aws:states:::s3:getObject",
                        "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}}, "End": True}),
    "map label": _machine(
        {"Type": "Map", "Label": "l", "ToleratedFailurePercentage": 5.5, "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "I",
            "States": {"I": _END}}, "End": True}),
    "map jsonata": _machine(
        {"Type": "Map", "QueryLanguage": "JSONata", "Items": "{% $states.input.items %}",
         "ItemProcessor": {"StartAt": "I", "States": {"I": _END}}, "End": True}),
}  # fmt: skip


def broken(definition: Definition) -> Iterator[tuple[str, Definition]]:
    """(what was done to it, the result): each member removed, made another type, joined by an unknown one."""
    for path in _objects(definition, ()):
        changed = copy.deepcopy(definition)
        _at(changed, path)["Unknown"] = 1
        yield f"add Unknown to /{'/'.join(map(str, path))}", changed
        for name in _at(definition, path):
            where = f"/{'/'.join(map(str, (*path, name)))}"
            changed = copy.deepcopy(definition)
            del _at(changed, path)[name]
            yield f"remove {where}", changed
            for value in (7, -1, "text", True, None, [], {}):
                changed = copy.deepcopy(definition)
                _at(changed, path)[name] = value
                if changed != definition:
                    yield f"{where} = {value!r}", changed


def _objects(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        yield path
        for name, member in value.items():
            yield from _objects(member, (*path, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _objects(member, (*path, index))


def _at(definition: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        definition = definition[step]
    return definition
