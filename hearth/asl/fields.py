"""Fields with one number, moment or text: literal, by path, or by JSONata expression, each with AWS's complaints.

Each is an Expression whose value is what its field's name promises (an int of seconds, an epoch time, a str), so the
workflow core does not ask how it was written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hearth.asl.definition import MapItem
from hearth.asl.errors import query_error, runtime_error
from hearth.asl.intrinsics import compact
from hearth.asl.jsonata import Jsonata
from hearth.asl.jsonpath import Path, PathMissing
from hearth.asl.scope import Expression, Json, Scope
from hearth.asl.timestamps import timestamp_ms

#: a Wait further ahead is refused
MAX_WAIT_S = 2**31 - 1


def _is_integer(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def path_value(path: Path, scope: Scope) -> Json:
    """What a field's path points to. Raises StateError with the text of InputPath and its like."""
    try:
        return path.evaluate(scope)
    except PathMissing as exc:
        raise runtime_error(str(exc)) from exc


def shown(value: Json) -> str:
    return value if isinstance(value, str) else compact(value)


@dataclass(frozen=True, slots=True)
class NumberPath:
    """MaxConcurrencyPath, TimeoutSecondsPath and their like. A text of digits counts as its number.

    unit: `integer` or `float`, as the complaint says.
    """

    field: str
    path: Path
    unit: str = "integer"
    minimum: float = -math.inf
    maximum: float = math.inf
    out_of_range: str = ""

    def evaluate(self, scope: Scope) -> Json:
        value = path_value(self.path, scope)
        number = value
        if isinstance(value, str):
            try:
                number = int(value) if self.unit == "integer" else float(value)
            except ValueError:
                number = None
        valid = _is_integer(number) or (self.unit == "float" and isinstance(number, float))
        if not valid:
            raise runtime_error(
                f'The {self.field} field refers to value "{shown(value)}" which is not a valid {self.unit}: '
                f"{self.path.text}"
            )
        return self._checked(number)

    def _checked(self, number: float) -> float:
        if not self.minimum <= number <= self.maximum:
            raise runtime_error(self.out_of_range or f"{self.field} must be positive: {self.path.text} == {number}")
        return number


@dataclass(frozen=True, slots=True)
class NumberExpression:
    """The same by JSONata."""

    expression: Jsonata
    unit: str = "integer"
    minimum: float = -math.inf
    maximum: float = math.inf
    out_of_range: str = ""

    def evaluate(self, scope: Scope) -> Json:
        value = self.expression.evaluate(scope)
        if self.unit == "integer" and not _is_integer(value):
            raise self.expression.unexpected("integer", value)
        if not self.minimum <= value <= self.maximum:
            cause = self.out_of_range or f"The value of the field '{self.expression.location}' is out of range: {value}"
            raise query_error(cause, self.expression.location)
        return value


@dataclass(frozen=True, slots=True)
class TextPath:
    """ErrorPath and CausePath: a path or an intrinsic call that gives a string."""

    field: str
    expression: Expression
    text: str

    def evaluate(self, scope: Scope) -> Json:
        value = self.expression.evaluate(scope)
        if not isinstance(value, str):
            raise runtime_error(f"The {self.field} field must reference a string: {self.text} == {compact(value)}")
        return value


@dataclass(frozen=True, slots=True)
class WaitSeconds:
    """Seconds, literal or by JSONata; SecondsPath has its own texts."""

    seconds: Expression

    def at_ms(self, scope: Scope, now_ms: int) -> int:
        seconds = self.seconds.evaluate(scope)
        if seconds > MAX_WAIT_S:
            raise runtime_error("Wait state delay is too long.")
        return now_ms + int(seconds) * 1000


@dataclass(frozen=True, slots=True)
class SecondsPath:
    path: Path

    def evaluate(self, scope: Scope) -> Json:
        try:
            value = self.path.evaluate(scope)
        except PathMissing as exc:
            raise runtime_error(
                f"The SecondsPath parameter does not reference an input value: {self.path.text}"
            ) from exc
        if not _is_integer(value):
            raise runtime_error(
                f"The SecondsPath parameter cannot be parsed as a long value: {self.path.text} == {shown(value)}"
            )
        if value < 0:
            raise runtime_error(f"The SecondsPath parameter references a negative value: {self.path.text} == {value}")
        return value


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Timestamp, literal (checked when the definition was made) or by path or expression."""

    moment: Expression
    path: Path | None = None

    def at_ms(self, scope: Scope, now_ms: int) -> int:
        text = self.moment.evaluate(scope) if self.path is None else path_value(self.path, scope)
        at_ms = timestamp_ms(text) if isinstance(text, str) else None
        if at_ms is None:
            if self.path is not None:
                raise runtime_error(
                    "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time "
                    f"format string: {self.path.text} == {shown(text)}"
                )
            raise query_error(
                "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: "
                f"{shown(text)}",
                "Timestamp",
            )
        if at_ms - now_ms > MAX_WAIT_S * 1000:
            raise runtime_error("Wait state delay is too long.")
        return max(at_ms, now_ms)


@dataclass(frozen=True, slots=True)
class ItemsPath:
    """The array (of a distributed Map also the object) that a JSONPath Map iterates over."""

    path: Expression
    text: str
    objects: bool

    def items(self, scope: Scope) -> list[MapItem]:
        try:
            value = self.path.evaluate(scope)
        except PathMissing as exc:
            raise runtime_error(str(exc)) from exc
        if isinstance(value, list):
            return [MapItem(index, item) for index, item in enumerate(value)]
        if self.objects and isinstance(value, dict):
            return _members_of(value)
        shown = self.text.removeprefix("$") if self.text.startswith("$$") else self.text  # of the Context object
        raise runtime_error(f'Reference path "{shown}" must point to array.')


@dataclass(frozen=True, slots=True)
class ItemsField:
    """Items of a JSONata Map: an array, literal or by expression. Without it the Map's input is iterated over."""

    items_of: Expression | None
    objects: bool

    def items(self, scope: Scope) -> list[MapItem]:
        value = self.items_of.evaluate(scope) if self.items_of is not None else scope.input
        if isinstance(value, list):
            return [MapItem(index, item) for index, item in enumerate(value)]
        if self.objects and isinstance(value, dict):
            return _members_of(value)
        if isinstance(self.items_of, Jsonata):
            raise self.items_of.unexpected("array", value)
        raise query_error(f"Map state input must be an array but was: {compact(value)}", None)


def _members_of(value: dict[str, Json]) -> list[MapItem]:
    """Members of an object, as a distributed Map takes them."""
    return [MapItem(index, member, key) for index, (key, member) in enumerate(value.items())]
