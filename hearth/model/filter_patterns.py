"""Filter patterns of event source mappings: which records reach the function. Pure.

A pattern is a JSON object whose leaves are lists of what a value may be. Numbers and strings never equal each other,
a record's list matches when one of its items does, and an object where a value is expected counts as absent.
Source: Lambda Developer Guide, event filtering; what is refused, as recorded from AWS.
"""

from __future__ import annotations

import base64
import binascii
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from hearth.model.mapping import SourceKind

#: whether a record passes
Match = Callable[[Mapping[str, Any]], bool]
#: whether a value at a pattern's leaf fits; absent values are _ABSENT
_Test = Callable[[Any], bool]


class BadPattern(ValueError):
    """The text is no filter pattern."""


_ABSENT = object()
_NOTHING: dict[str, Any] = {}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: where each kind's payload stands in its record; DynamoDB records are matched as they are
_PAYLOAD = {
    SourceKind.KINESIS: "data",
    SourceKind.KINESIS_CONSUMER: "data",
    SourceKind.SQS: "body",
    SourceKind.RABBITMQ: "data",
}


def compile_filters(patterns: Iterable[str], kind: SourceKind) -> Match:
    """A record passes if any of the patterns matches it; without patterns every record does.

    The record is given as its function sees it: an item of the event's `Records`, or of RabbitMQ's list of messages.
    Its payload is decoded here. Raises BadPattern.
    """
    matches = [_compile(text, kind) for text in patterns]
    if not matches:
        return lambda record: True
    if len(matches) == 1:
        return matches[0]
    return lambda record: any(match(record) for match in matches)


def _compile(text: str, kind: SourceKind) -> Match:
    try:
        pattern = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise BadPattern("no JSON") from exc
    if not isinstance(pattern, dict):
        raise BadPattern("no JSON object")
    if not pattern:
        return lambda record: True
    payload = _PAYLOAD.get(kind)
    wanted = pattern.pop(payload, None) if payload else None
    rest = _object(pattern) if pattern else None
    inside = _payload(wanted, kind) if wanted is not None else None

    def match(record: Mapping[str, Any]) -> bool:
        if rest is not None and not rest(_flat(record)):
            return False
        return inside is None or inside(record)

    return match


def _flat(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Members of `kinesis` (partitionKey, ...) can be named without it."""
    within = record.get("kinesis")
    return {**record, **within} if within else record


def _payload(wanted: Any, kind: SourceKind) -> Match:
    """Raises BadPattern: a stream's records are matched as JSON only."""
    if isinstance(wanted, list):
        if kind.is_stream:
            raise BadPattern("data is matched as JSON")
        plain = _leaf(wanted)
        # a JSON object is none of the texts that a list of plain strings means
        return lambda record: plain(_text(record, kind)) and not isinstance(_json(_text(record, kind)), dict)
    inside = _object(wanted)
    #: what a payload that is no JSON object does: MQ's are judged by the rest of the pattern alone
    unreadable = kind is SourceKind.RABBITMQ

    def match(record: Mapping[str, Any]) -> bool:
        found = _json(_text(record, kind))
        return inside(found) if isinstance(found, dict) else unreadable

    return match


def _text(record: Mapping[str, Any], kind: SourceKind) -> str:
    if kind is SourceKind.SQS:
        return str(record.get("body", ""))
    encoded = record.get("kinesis", record).get("data", "")
    try:
        return base64.b64decode(encoded).decode()
    except (binascii.Error, ValueError):
        return ""


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


# --- patterns -----------------------------------------------------------------------------------------------------
def _object(pattern: Any) -> Callable[[Any], bool]:
    if not isinstance(pattern, dict) or not pattern:
        raise BadPattern("neither a list of values nor an object with members")
    tests: list[tuple[str, _Test]] = []
    choices: list[list[Callable[[Any], bool]]] = []
    for key, wanted in pattern.items():
        if key == "$or":
            if not isinstance(wanted, list) or len(wanted) < 2:
                raise BadPattern("$or needs a list of at least two patterns")
            choices.append([_object(one) for one in wanted])
        elif isinstance(wanted, list):
            tests.append((key, _leaf(wanted)))
        else:
            tests.append((key, _nested(_object(wanted))))

    def match(value: Any) -> bool:
        return all(test(value.get(key, _ABSENT)) for key, test in tests) and all(
            any(choice(value) for choice in one_of) for one_of in choices
        )

    return match


def _nested(inside: Callable[[Any], bool]) -> _Test:
    def test(value: Any) -> bool:
        if isinstance(value, list):
            return any(inside(item) for item in value if isinstance(item, dict))
        return inside(value if isinstance(value, dict) else _NOTHING)

    return test


def _leaf(wanted: list[Any]) -> _Test:
    if not wanted:
        raise BadPattern("an empty list of values")
    tests = [_one(item) for item in wanted]

    def test(value: Any) -> bool:
        if isinstance(value, dict):
            value = _ABSENT
        if isinstance(value, list) and value:
            items = [item for item in value if not isinstance(item, dict)]
            return any(one(item) for one in tests for item in items)
        return any(one(value) for one in tests)

    return test


def _one(wanted: Any) -> _Test:
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise BadPattern("an operator is an object with one member")
        ((name, argument),) = wanted.items()
        make = _OPERATORS.get(name)
        if make is None:
            raise BadPattern(f"no operator {name}")
        return make(argument)
    if isinstance(wanted, list):
        raise BadPattern("a list inside a list of values")
    return lambda value: _equal(value, wanted)


def _equal(value: Any, wanted: Any) -> bool:
    if _is_number(wanted):
        return _is_number(value) and value == wanted
    return type(value) is type(wanted) and value == wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text_operator(holds: Callable[[str, str], bool]) -> Callable[[Any], _Test]:
    def make(argument: Any) -> _Test:
        if not isinstance(argument, str):
            raise BadPattern("the operator takes a string")
        return lambda value: isinstance(value, str) and holds(value, argument)

    return make


def _exists(argument: Any) -> _Test:
    if not isinstance(argument, bool):
        raise BadPattern("exists takes true or false")
    return lambda value: (value is not _ABSENT) is argument


def _anything_but(argument: Any) -> _Test:
    refused = argument if isinstance(argument, list) else [argument]
    numbers, texts = all(map(_is_number, refused)), all(isinstance(one, str) for one in refused)
    if not refused or not (numbers or texts):
        raise BadPattern("anything-but takes strings or numbers")
    return lambda value: value is not _ABSENT and not any(_equal(value, one) for one in refused)


def _numeric(argument: Any) -> _Test:
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        raise BadPattern("numeric takes one or two comparisons")
    pairs = list(zip(argument[::2], argument[1::2], strict=True))
    if any(not isinstance(name, str) or name not in _COMPARE or not _is_number(bound) for name, bound in pairs):
        raise BadPattern("numeric compares by =, <, <=, > or >= with numbers")
    if len(pairs) == 2 and not (pairs[0][0] in (">", ">=") and pairs[1][0] in ("<", "<=")):
        raise BadPattern("a range has a lower bound, then an upper one")
    return lambda value: _is_number(value) and all(_COMPARE[name](value, bound) for name, bound in pairs)


_OPERATORS: dict[str, Callable[[Any], _Test]] = {
    "anything-but": _anything_but,
    "equals-ignore-case": _text_operator(lambda value, wanted: value.casefold() == wanted.casefold()),
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _text_operator(str.startswith),
    "suffix": _text_operator(str.endswith),
}
