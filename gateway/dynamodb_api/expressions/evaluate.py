"""Whether an item meets a condition, and which part of it a projection shows. Pure; items are canonical."""

from __future__ import annotations

import base64
import operator
from collections.abc import Callable
from typing import Any

from gateway.dynamodb_api.expressions.tree import (
    And,
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Literal,
    Not,
    Operand,
    Or,
    Path,
    Size,
)
from hearth.model.attribute_value import Item, Value, comparable

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = ("S", "N", "B")
_SETS = {"SS": "S", "NS": "N", "BS": "B"}


def meets(condition: Condition | None, item: Item) -> bool:
    """No condition is met by every item; an item that does not exist is one without attributes."""
    match condition:
        case None:
            return True
        case And(left, right):
            return meets(left, item) and meets(right, item)
        case Or(left, right):
            return meets(left, item) or meets(right, item)
        case Not(inner):
            return not meets(inner, item)
        case Comparison(sign, left, right):
            return _compare(sign, _value(left, item), _value(right, item))
        case Between(operand, low, high):
            value = _value(operand, item)
            return _compare(">=", value, _value(low, item)) and _compare("<=", value, _value(high, item))
        case In(operand, options):
            value = _value(operand, item)
            return value is not None and any(value == _value(one, item) for one in options)
        case Function(name, arguments):
            return _FUNCTIONS[name](*(_value(one, item) for one in arguments))


def found_at(path: Path, item: Item) -> Value | None:
    """What the path leads to; None: nothing."""
    value: Any = {"M": item}
    for part in path.parts:
        if isinstance(part, int):
            members = value.get("L")
            if members is None or part >= len(members):
                return None
            value = members[part]
        else:
            value = value.get("M", {}).get(part)
            if value is None:
                return None
    return value


def projected(paths: list[Path] | None, item: Item) -> Item:
    """What of the item lies at the paths; None: all."""
    if paths is None:
        return item
    wanted: dict[Any, Any] = {}
    for path in paths:
        within = wanted
        for part in path.parts:
            within = within.setdefault(part, {})
    shown = _part({"M": item}, wanted)
    return {} if shown is None else shown["M"]


def _part(value: Value, wanted: dict[Any, Any]) -> Value | None:
    """wanted: part -> what is wanted of it; {}: all. None: nothing of it is there."""
    if not wanted:
        return value
    if "M" in value:
        members = value["M"]
        found = {name: _part(members[name], within) for name, within in wanted.items() if name in members}
        kept: Item = {name: one for name, one in found.items() if one is not None}
        return {"M": kept} if kept else None
    if "L" in value:
        members = value["L"]
        at = sorted(part for part in wanted if isinstance(part, int) and part < len(members))
        parts = [one for position in at if (one := _part(members[position], wanted[position])) is not None]
        return {"L": parts} if parts else None
    return None


def _value(operand: Operand, item: Item) -> Value | None:
    match operand:
        case Literal(value):
            return value
        case Size(path):
            sized = found_at(path, item)
            return None if sized is None else _size(sized)
    return found_at(operand, item)


def _size(value: Value) -> Value | None:
    ((kind, content),) = value.items()
    match kind:
        case "N" | "BOOL" | "NULL":
            return None
        case "B":
            return {"N": str(len(base64.b64decode(content)))}
    return {"N": str(len(content))}


def _compare(sign: str, left: Value | None, right: Value | None) -> bool:
    if sign == "<>":
        return left != right
    if left is None or right is None:
        return False
    if sign == "=":
        return left == right
    if left.keys() != right.keys() or next(iter(left)) not in _ORDERED:
        return False
    return _ORDER[sign](comparable(left), comparable(right))


def _begins_with(value: Value | None, start: Value | None) -> bool:
    if value is None or start is None or value.keys() != start.keys() or next(iter(value)) not in ("S", "B"):
        return False
    return bool(comparable(value).startswith(comparable(start)))


def _contains(value: Value | None, part: Value | None) -> bool:
    if value is None or part is None:
        return False
    ((kind, content),) = value.items()
    ((part_kind, wanted),) = part.items()
    if kind == "L":
        return part in content
    if kind in _SETS:
        return _SETS[kind] == part_kind and wanted in content
    return kind == part_kind and kind in ("S", "B") and comparable(part) in comparable(value)


_FUNCTIONS: dict[str, Callable[..., bool]] = {
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
    "attribute_type": lambda value, kind: value is not None and kind["S"] in value,
    "begins_with": _begins_with,
    "contains": _contains,
}
