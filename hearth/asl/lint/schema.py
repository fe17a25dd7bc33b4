"""Which fields each object of a definition may have, in which query language, and what each may be.

Source: Amazon States Language specification, "State Types" and its table of fields; Step Functions Developer Guide.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.asl.choice import COMPARISONS, TYPE_TESTS
from hearth.asl.definition import QueryLanguage
from hearth.asl.jsonpath import Root
from hearth.asl.lint import values
from hearth.asl.lint.values import Check

#: the longest time a field takes
MAX_SECONDS = 99_999_999

JSONPATH, JSONATA = QueryLanguage.JSONPATH, QueryLanguage.JSONATA


@dataclass(frozen=True, slots=True)
class Field:
    """only: the one language that has it. members: of `$states`, that expressions in it may read besides the usual."""

    check: Check = values.anything
    only: QueryLanguage | None = None
    members: frozenset[str] = frozenset()
    required: bool = False


def _json_path(check: Check) -> Field:
    return Field(check, JSONPATH)


def _jsonata(check: Check, *members: str) -> Field:
    return Field(check, JSONATA, frozenset(members))


_seconds = values.number(1, MAX_SECONDS)
_own_reference = values.reference(Root.INPUT, Root.CONTEXT, Root.VARIABLE)
#: paths of a Map's settings may not look into the Context object
_map_reference = values.reference(Root.INPUT, Root.VARIABLE)

_COMMON = {
    "Type": Field(values.plain_text, required=True),
    "Comment": Field(values.plain_text),
    "QueryLanguage": Field(values.one_of(*QueryLanguage)),
}
_TRANSITION = {"Next": Field(values.plain_text), "End": Field(values.boolean)}
_NARROWING = {"InputPath": _json_path(values.path_or_null), "OutputPath": _json_path(values.path_or_null)}
_OUT = {"Output": _jsonata(values.template), "Assign": Field(values.assign)}
_OUT_WITH_RESULT = {
    "Output": _jsonata(values.template, "result"),
    "Assign": Field(values.assign, members=frozenset({"result"})),
}
_RESULT = {"ResultSelector": _json_path(values.object_template), "ResultPath": _json_path(values.result_path)}
#: their members are objects of their own, see `states`
_ON_ERROR = {"Retry": Field(), "Catch": Field()}

STATES: dict[str, dict[str, Field]] = {
    "Task": {
        **_COMMON, **_TRANSITION, **_NARROWING, **_OUT_WITH_RESULT, **_RESULT, **_ON_ERROR,
        "Resource": Field(values.plain_text, required=True),
        "Parameters": _json_path(values.template),
        "Arguments": _jsonata(values.template),
        "Credentials": Field(values.credentials),
        "TimeoutSeconds": Field(_seconds),
        "TimeoutSecondsPath": _json_path(_own_reference),
        "HeartbeatSeconds": Field(_seconds),
        "HeartbeatSecondsPath": _json_path(_own_reference),
    },
    "Wait": {
        **_COMMON, **_TRANSITION, **_NARROWING, **_OUT,
        "Seconds": Field(values.number(0, MAX_SECONDS)),
        "SecondsPath": _json_path(_own_reference),
        "Timestamp": Field(values.timestamp),
        "TimestampPath": _json_path(_own_reference),
    },
    "Pass": {
        **_COMMON, **_TRANSITION, **_NARROWING, **_OUT,
        "Parameters": _json_path(values.template),
        "Result": _json_path(values.static_result),
        "ResultPath": _json_path(values.result_path),
    },
    "Succeed": {**_COMMON, **_NARROWING, "Output": _jsonata(values.template)},
    "Fail": {
        **_COMMON,
        "Error": Field(values.text),
        "ErrorPath": _json_path(values.path_or_call),
        "Cause": Field(values.text),
        "CausePath": _json_path(values.path_or_call),
    },
    "Choice": {
        **_COMMON, **_NARROWING, **_OUT,
        "Choices": Field(required=True),
        "Default": Field(values.plain_text),
    },
    "Parallel": {
        **_COMMON, **_TRANSITION, **_NARROWING, **_OUT_WITH_RESULT, **_RESULT, **_ON_ERROR,
        "Branches": Field(required=True),
        "Parameters": _json_path(values.template),
        "Arguments": _jsonata(values.template),
    },
    "Map": {
        **_COMMON, **_TRANSITION, **_NARROWING, **_OUT_WITH_RESULT, **_RESULT, **_ON_ERROR,
        "ItemProcessor": Field(),
        "Iterator": Field(),
        "ItemsPath": _json_path(values.path_or_call),
        "Items": _jsonata(values.items),
        "ItemSelector": Field(values.template),
        "Parameters": _json_path(values.template),
        "MaxConcurrency": Field(values.number(0)),
        "MaxConcurrencyPath": _json_path(_map_reference),
        "ToleratedFailureCount": Field(values.number(0)),
        "ToleratedFailureCountPath": _json_path(_map_reference),
        "ToleratedFailurePercentage": Field(values.number(0.0, 100.0, whole=False)),
        "ToleratedFailurePercentagePath": _json_path(_map_reference),
        "Label": Field(values.label),
        "ItemReader": Field(),
        "ItemBatcher": Field(),
        "ResultWriter": Field(),
    },
}  # fmt: skip

MACHINE = {
    "Comment": Field(values.plain_text),
    "StartAt": Field(values.plain_text),
    "States": Field(),
    "TimeoutSeconds": Field(values.number(1, MAX_SECONDS, dynamic=False)),
    "Version": Field(values.one_of("1.0")),
    "QueryLanguage": Field(values.one_of(*QueryLanguage)),
}
BRANCH = {"Comment": Field(values.plain_text), "StartAt": Field(values.plain_text), "States": Field()}
PROCESSOR = {**BRANCH, "ProcessorConfig": Field(values.json_object)}
PROCESSOR_CONFIG = {
    "Mode": Field(values.one_of("INLINE", "DISTRIBUTED")),
    "ExecutionType": Field(values.one_of("STANDARD", "EXPRESS")),
}

RETRIER = {
    "ErrorEquals": Field(values.error_names, required=True),
    "IntervalSeconds": Field(values.number(1, MAX_SECONDS, dynamic=False)),
    "MaxAttempts": Field(values.number(0, MAX_SECONDS, dynamic=False)),
    "BackoffRate": Field(values.number(1.0, whole=False, dynamic=False)),
    "MaxDelaySeconds": Field(values.number(1, 31_622_399, dynamic=False)),
    "JitterStrategy": Field(values.one_of("NONE", "FULL")),
    "Comment": Field(values.plain_text),
}
CATCHER = {
    "ErrorEquals": Field(values.error_names, required=True),
    "Next": Field(values.plain_text, required=True),
    "ResultPath": _json_path(values.result_path),
    "Output": _jsonata(values.template, "errorOutput"),
    "Assign": Field(values.assign, members=frozenset({"errorOutput"})),
    "Comment": Field(values.plain_text),
}

_OPERATORS: dict[str, Check] = {
    **{name: values.compared_text for name in COMPARISONS if name.startswith("String")},
    **{name: values.number(float("-inf"), whole=False) for name in COMPARISONS if name.startswith("Numeric")},
    **{name: values.timestamp for name in COMPARISONS if name.startswith("Timestamp")},
    **{name: values.boolean for name in COMPARISONS if name.startswith("Boolean")},
    **{f"{name}Path": _own_reference for name in COMPARISONS},
    **{name: values.boolean for name in (*TYPE_TESTS, "IsPresent")},
    "StringMatches": values.plain_text,
}
#: a comparison inside And, Or and Not; a rule has more
COMPARISON = {
    "Comment": Field(values.plain_text),
    "Variable": _json_path(_own_reference),
    **{name: _json_path(check) for name, check in _OPERATORS.items()},
    "And": Field(only=JSONPATH),
    "Or": Field(only=JSONPATH),
    "Not": Field(only=JSONPATH),
}
RULE = {
    **COMPARISON,
    "Condition": _jsonata(values.condition),
    "Next": Field(values.plain_text, required=True),
    "Output": _jsonata(values.template),
    "Assign": Field(values.assign),
}

ITEM_READER = {
    "Resource": Field(values.plain_text, required=True),
    "ReaderConfig": Field(values.json_object),
    "Parameters": _json_path(values.template),
    "Arguments": _jsonata(values.template),
}
READER_CONFIG = {
    "InputType": Field(values.one_of("CSV", "JSON", "JSONL", "PARQUET", "MANIFEST")),
    "CSVHeaderLocation": Field(values.one_of("FIRST_ROW", "GIVEN")),
    "CSVHeaders": Field(),
    "CSVDelimiter": Field(values.one_of("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")),
    "MaxItems": Field(values.number(0, 100_000_000)),
    "MaxItemsPath": _json_path(_map_reference),
    "ItemsPointer": Field(values.plain_text),
    "ManifestType": Field(values.one_of("ATHENA_DATA", "S3_INVENTORY")),
    "Transformation": Field(values.one_of("NONE", "LOAD_AND_FLATTEN")),
}
ITEM_BATCHER = {
    "MaxItemsPerBatch": Field(values.number(1, 100_000_000)),
    "MaxItemsPerBatchPath": _json_path(_map_reference),
    "MaxInputBytesPerBatch": Field(values.number(1, 262_144)),
    "MaxInputBytesPerBatchPath": _json_path(_map_reference),
    "BatchInput": Field(values.template),
}
RESULT_WRITER = {
    "Resource": Field(values.plain_text),
    "Parameters": _json_path(values.template),
    "Arguments": _jsonata(values.template),
    "WriterConfig": Field(values.json_object),
}
WRITER_CONFIG = {
    "Transformation": Field(values.one_of("NONE", "COMPACT", "FLATTEN")),
    "OutputType": Field(values.one_of("JSON", "JSONL")),
}

#: state type → groups of which exactly one must be there
EXACTLY_ONE: dict[str, tuple[str, ...]] = {
    "Wait": ("Seconds", "SecondsPath", "Timestamp", "TimestampPath"),
    "Map": ("ItemProcessor", "Iterator"),
}

#: part of a Map → fields of which it has one at least
AT_LEAST_ONE: dict[str, tuple[str, ...]] = {
    "ItemBatcher": (
        "MaxItemsPerBatch",
        "MaxItemsPerBatchPath",
        "MaxInputBytesPerBatch",
        "MaxInputBytesPerBatchPath",
    ),
    "ResultWriter": ("Resource", "WriterConfig"),
}

#: what makes an object a comparison
OPERATORS = frozenset({*_OPERATORS, "And", "Or", "Not"})
