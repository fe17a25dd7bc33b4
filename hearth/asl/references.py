"""Which variables a compiled expression reads: what DescribeStateMachine lists as variableReferences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hearth.asl.intrinsics import Call
from hearth.asl.jsonata import Jsonata, JsonataArray, JsonataObject
from hearth.asl.jsonpath import Path, Root
from hearth.asl.template import ArrayTemplate, Field, ObjectTemplate


def variables_read(expressions: Iterable[object]) -> list[str]:
    """Names, sorted, each once."""
    return sorted({name for expression in expressions for name in _names(expression)})


def _names(expression: object) -> Iterator[str]:
    if isinstance(expression, Path):
        if expression.root is Root.VARIABLE:
            yield expression.variable
    elif isinstance(expression, Call):
        for path in expression.paths:
            yield from _names(path)
    elif isinstance(expression, Field):
        yield from _names(expression.expression)
    elif isinstance(expression, ObjectTemplate | JsonataObject):
        for _, member in expression.members:
            yield from _names(member)
    elif isinstance(expression, ArrayTemplate | JsonataArray):
        for member in expression.members:
            yield from _names(member)
    elif isinstance(expression, Jsonata):
        yield from expression.variables
