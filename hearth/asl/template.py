"""Payload templates of JSONPath states: Parameters, ResultSelector, ItemSelector, BatchInput, Assign and their like.

In an object, a key that ends in `.$` takes a path or an intrinsic call; every other value stands as it is. A template
without any such key is compiled to a constant, shared by all who evaluate it.
Source: Amazon States Language specification, "Payload Template".
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.asl.errors import StateError, runtime_error
from hearth.asl.intrinsics import InvalidIntrinsic, compact, compile_intrinsic
from hearth.asl.jsonpath import InvalidPath, PathMissing, compile_path
from hearth.asl.scope import Constant, Expression, Json, Scope

SUFFIX = ".$"


class InvalidTemplate(ValueError):
    """`key` names the field, with its suffix."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The value for the field '{key}' must be a valid JSONPath or a valid intrinsic function call")
        self.key = key


def not_found(path: str, field: str, scope: Scope) -> StateError:
    """A path in a template, or in a field that is one, finds nothing."""
    return runtime_error(
        f"The JSONPath '{path}' specified for the field '{field}' could not be found in the input "
        f"'{compact(scope.input)}'"
    )


@dataclass(frozen=True, slots=True)
class Field:
    """One path or call, and the name of its field for the error's text."""

    name: str
    expression: Expression

    def evaluate(self, scope: Scope) -> Json:
        try:
            return self.expression.evaluate(scope)
        except PathMissing as exc:
            # an index beyond an array's end gives null here, unlike a name that is not there
            if exc.out_of_range:
                return None
            raise not_found(exc.path, self.name, scope) from exc


@dataclass(frozen=True, slots=True)
class ObjectTemplate:
    members: tuple[tuple[str, Expression], ...]

    def evaluate(self, scope: Scope) -> Json:
        return {key: expression.evaluate(scope) for key, expression in self.members}


@dataclass(frozen=True, slots=True)
class ArrayTemplate:
    members: tuple[Expression, ...]

    def evaluate(self, scope: Scope) -> Json:
        return [member.evaluate(scope) for member in self.members]


def compile_template(value: Json) -> Expression:
    """Raises InvalidTemplate."""
    if isinstance(value, dict):
        members = tuple(_member(key, member) for key, member in value.items())
        if all(isinstance(expression, Constant) for _, expression in members):
            return Constant(value)
        return ObjectTemplate(members)
    if isinstance(value, list):
        elements = tuple(compile_template(element) for element in value)
        if all(isinstance(element, Constant) for element in elements):
            return Constant(value)
        return ArrayTemplate(elements)
    return Constant(value)


def _member(key: str, value: Json) -> tuple[str, Expression]:
    if not key.endswith(SUFFIX):
        return key, compile_template(value)
    return key.removesuffix(SUFFIX), compile_field(key, value)


def compile_field(name: str, value: Json) -> Field:
    """A field whose whole value is a path or a call. Raises InvalidTemplate."""
    if not isinstance(value, str):
        raise InvalidTemplate(name)
    try:
        return Field(name, compile_path(value) if value.startswith("$") else compile_intrinsic(value))
    except (InvalidPath, InvalidIntrinsic) as exc:
        raise InvalidTemplate(name) from exc
