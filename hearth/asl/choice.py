"""Rules of Choice states: comparisons and their combinations in JSONPath, conditions in JSONata.

A comparison of values of different types is false, never an error; a Variable that points to nothing is one, unless
the operator is IsPresent. Source: Amazon States Language specification, "Choice State".
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

from hearth.asl.definition import Condition
from hearth.asl.errors import StateError, runtime_error
from hearth.asl.jsonata import Jsonata
from hearth.asl.jsonpath import Path, PathMissing
from hearth.asl.scope import ABSENT, Json, Scope
from hearth.asl.timestamps import parse_timestamp

Compare = Callable[[Json, Json], bool]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`Variable` against a value of the definition, or against what another path points to."""

    variable: Path
    compare: Compare
    expected: Json
    expected_path: Path | None = None

    def holds(self, scope: Scope) -> bool:
        value = _value(self.variable, scope)
        expected = _value(self.expected_path, scope) if self.expected_path else self.expected
        return self.compare(value, expected)


@dataclass(frozen=True, slots=True)
class Presence:
    """IsPresent: the one operator that takes a path to nothing."""

    variable: Path
    expected: bool

    def holds(self, scope: Scope) -> bool:
        try:
            return (self.variable.evaluate(scope) is not ABSENT) is self.expected
        except PathMissing:
            return self.expected is False


@dataclass(frozen=True, slots=True)
class All:
    conditions: tuple[Condition, ...]

    def holds(self, scope: Scope) -> bool:
        return all(condition.holds(scope) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Any:
    conditions: tuple[Condition, ...]

    def holds(self, scope: Scope) -> bool:
        return any(condition.holds(scope) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition

    def holds(self, scope: Scope) -> bool:
        return not self.condition.holds(scope)


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSONata Condition that is true or false in the definition."""

    value: bool

    def holds(self, scope: Scope) -> bool:
        return self.value


@dataclass(frozen=True, slots=True)
class JsonataCondition:
    expression: Jsonata

    def holds(self, scope: Scope) -> bool:
        return self.expression.evaluate(scope) is True


def _value(path: Path, scope: Scope) -> Json:
    try:
        return path.evaluate(scope)
    except PathMissing as exc:
        raise _invalid(path) from exc


def _invalid(path: Path) -> StateError:
    return runtime_error(f"Invalid path '{path.text}': The choice state's condition path references an invalid value.")


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _strings(compare: Compare) -> Compare:
    return lambda left, right: isinstance(left, str) and isinstance(right, str) and compare(left, right)


def _numbers(compare: Compare) -> Compare:
    return lambda left, right: _is_number(left) and _is_number(right) and compare(left, right)


def _booleans(compare: Compare) -> Compare:
    return lambda left, right: isinstance(left, bool) and isinstance(right, bool) and compare(left, right)


def _timestamps(compare: Compare) -> Compare:
    def holds(left: Json, right: Json) -> bool:
        if not (isinstance(left, str) and isinstance(right, str)):
            return False
        one, other = parse_timestamp(left), parse_timestamp(right)
        return one is not None and other is not None and compare(one, other)

    return holds


_RELATIONS: dict[str, Compare] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}

#: operator → how it compares (Variable's value, expected). Each also has a form with the suffix Path.
COMPARISONS: dict[str, Compare] = {
    **{f"String{name}": _strings(compare) for name, compare in _RELATIONS.items()},
    **{f"Numeric{name}": _numbers(compare) for name, compare in _RELATIONS.items()},
    **{f"Timestamp{name}": _timestamps(compare) for name, compare in _RELATIONS.items()},
    "BooleanEquals": _booleans(operator.eq),
}

#: operator → what it asks of the value; the expected value says which answer matches
TYPE_TESTS: dict[str, Callable[[Json], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": _is_number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: isinstance(value, str) and parse_timestamp(value) is not None,
}

OPERATORS = frozenset(
    {*COMPARISONS, *(f"{name}Path" for name in COMPARISONS), *TYPE_TESTS, "IsPresent", "StringMatches"}
)


def comparison(name: str, variable: Path, expected: Json) -> Condition:
    """The rule `{"Variable": …, name: expected}`. expected: a compiled Path for operators that end in Path."""
    if name == "IsPresent":
        return Presence(variable, expected)
    if name == "StringMatches":
        pattern = _wildcards(expected)
        return Comparison(variable, lambda value, _: isinstance(value, str) and pattern(value), None)
    if name in TYPE_TESTS:
        test = TYPE_TESTS[name]
        return Comparison(variable, lambda value, answer: test(value) is answer, expected)
    if isinstance(expected, Path):
        return Comparison(variable, COMPARISONS[name.removesuffix("Path")], None, expected)
    return Comparison(variable, COMPARISONS[name], expected)


def _wildcards(pattern: str) -> Callable[[str], bool]:
    r"""`*` matches any run of characters; `\*` is a star, `\\` a backslash. Linear in the text for each star."""
    pieces = [""]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\" and pattern[position + 1 : position + 2] in ("*", "\\"):
            position += 1
            pieces[-1] += pattern[position]
        elif character == "*":
            pieces.append("")
        else:
            pieces[-1] += character
        position += 1
    if len(pieces) == 1:
        return lambda text: text == pieces[0]

    def matches(text: str) -> bool:
        if not text.startswith(pieces[0]) or len(text) < len(pieces[0]) + len(pieces[-1]):
            return False
        start, end = len(pieces[0]), len(text) - len(pieces[-1])
        if text[end:] != pieces[-1]:
            return False
        for piece in pieces[1:-1]:
            found = text.find(piece, start, end)
            if found < 0:
                return False
            start = found + len(piece)
        return True

    return matches
