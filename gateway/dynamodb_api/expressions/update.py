"""What an update makes of an item. Pure; items are canonical.

Everything on the right is read from the item as it was, whatever the same expression does to it.
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from gateway.dynamodb_api.expressions.evaluate import found_at
from gateway.dynamodb_api.expressions.tree import (
    Arithmetic,
    IfNotExists,
    ListAppend,
    Literal,
    Path,
    Source,
    Update,
)
from hearth.errors import ValidationFailed
from hearth.model.attribute_value import EXACT, Item, Value, canonical, in_range, number_text

_WRONG_TYPE = "An operand in the update expression has an incorrect data type"
_NO_PATH = "The document path provided in the update expression is invalid for update"
_NO_ATTRIBUTE = "The provided expression refers to an attribute that does not exist in the item"
_SETS = ("SS", "NS", "BS")


def updated(update: Update, item: Item) -> Item:
    """Raises ValidationFailed."""
    after = copy.deepcopy(item)
    values = [(path, _source(source, item)) for path, source in update.sets]
    values += [(path, _added(found_at(path, item), value)) for path, value in update.adds]
    removes = list(update.removes)
    for path, value in update.deletes:
        left = _without(found_at(path, item), value)
        if left is not None:
            values.append((path, left))
        elif found_at(path, item) is not None:
            removes.append(path)
    # list positions from the first on: what is set behind a list's end goes to its end, in this order
    for path, value in sorted(values, key=lambda pair: _positions(pair[0])):
        _put(after, path, copy.deepcopy(value))
    # from the last on: a removal moves what comes behind it
    for path in sorted(removes, key=_positions, reverse=True):
        _remove(after, path)
    return after


def _positions(path: Path) -> list[int]:
    return [part for part in path.parts if isinstance(part, int)]


def _source(source: Source, item: Item) -> Value:
    match source:
        case Literal(value):
            return value
        case IfNotExists(path, otherwise):
            found = found_at(path, item)
            return _source(otherwise, item) if found is None else found
        case ListAppend(first, second):
            lists = [_source(one, item).get("L") for one in (first, second)]
            if lists[0] is None or lists[1] is None:
                raise ValidationFailed(_WRONG_TYPE)
            return {"L": lists[0] + lists[1]}
        case Arithmetic(operator, left, right):
            one, other = _number(_source(left, item)), _number(_source(right, item))
            return _as_number(EXACT.add(one, other if operator == "+" else -other))
    found = found_at(source, item)
    if found is None:
        raise ValidationFailed(_NO_ATTRIBUTE)
    return found


def _number(value: Value) -> Decimal:
    if "N" not in value:
        raise ValidationFailed(_WRONG_TYPE)
    return Decimal(value["N"])


def _as_number(value: Decimal) -> Value:
    return {"N": number_text(in_range(value))}


def _added(found: Value | None, value: Value) -> Value:
    if found is None:
        return value
    if found.keys() != value.keys():
        raise ValidationFailed(_WRONG_TYPE)
    if "N" in value:
        return _as_number(EXACT.add(_number(found), _number(value)))
    ((kind, members),) = value.items()
    return canonical({kind: sorted({*found[kind], *members})})


def _without(found: Value | None, value: Value) -> Value | None:
    """None: nothing is left."""
    if found is None:
        return None
    if found.keys() != value.keys():
        raise ValidationFailed(_WRONG_TYPE)
    ((kind, members),) = value.items()
    left = [one for one in found[kind] if one not in members]
    return {kind: left} if left else None


def _parent(item: Item, path: Path) -> Any:
    """The list or the dict that holds the path's last part."""
    parent = found_at(Path(path.parts[:-1]), item) if len(path.parts) > 1 else {"M": item}
    kind = "L" if isinstance(path.parts[-1], int) else "M"
    if parent is None or kind not in parent:
        raise ValidationFailed(_NO_PATH)
    return parent[kind]


def _put(item: Item, path: Path, value: Value) -> None:
    parent, last = _parent(item, path), path.parts[-1]
    if isinstance(last, int) and last >= len(parent):
        parent.append(value)
    else:
        parent[last] = value


def _remove(item: Item, path: Path) -> None:
    parent, last = _parent(item, path), path.parts[-1]
    if isinstance(last, int):
        if last < len(parent):
            del parent[last]
    else:
        parent.pop(last, None)
