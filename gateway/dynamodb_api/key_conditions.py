"""What the key condition of a query selects, as a range of places in a table. Pure."""

from __future__ import annotations

from gateway.dynamodb_api.expressions import tree
from hearth.errors import ValidationFailed
from hearth.model.attribute_value import Value, sort_bytes
from hearth.model.table import KeyAttribute, Table, after_prefix
from hearth.store.tables import Bounds

#: the byte string that follows another directly has this at its end
_NEXT = b"\x00"


def key_bounds(table: Table, condition: tree.Condition) -> Bounds:
    """The places of what a key condition selects. Raises ValidationFailed."""
    conditions = _flat(condition)
    by_name: dict[str, tree.Condition] = {}
    for one in conditions:
        name = _key_name(one)
        if name in by_name:
            raise _unfit("KeyConditionExpressions must only contain one condition per key")
        by_name[name] = one
    hash_condition = by_name.pop(table.hash_key.name, None)
    if hash_condition is None:
        raise ValidationFailed(f"Query condition missed key schema element: {table.hash_key.name}")
    if not isinstance(hash_condition, tree.Comparison) or hash_condition.operator != "=":
        raise ValidationFailed("Query key condition not supported")
    prefix = table.partition(_literal(hash_condition.right, table.hash_key))
    range_condition = by_name.pop(table.range_key.name, None) if table.range_key else None
    if by_name:
        if table.range_key is None or range_condition is not None:
            raise ValidationFailed("Query key condition not supported")
        raise ValidationFailed(f"Query condition missed key schema element: {table.range_key.name}")
    if table.range_key is None or range_condition is None:
        return Bounds.of_prefix(prefix)
    return _range_bounds(prefix, range_condition, table.range_key)


def _range_bounds(prefix: bytes, condition: tree.Condition, key: KeyAttribute) -> Bounds:
    end = after_prefix(prefix)
    match condition:
        case tree.Comparison(operator, _, right):
            at = prefix + sort_bytes(_literal(right, key))
            match operator:
                case "=":
                    return Bounds(at, at + _NEXT)
                case "<":
                    return Bounds(prefix, at)
                case "<=":
                    return Bounds(prefix, at + _NEXT)
                case ">":
                    return Bounds(at + _NEXT, end)
                case ">=":
                    return Bounds(at, end)
        case tree.Between(_, low, high):
            first, last = (prefix + sort_bytes(_literal(one, key)) for one in (low, high))
            return Bounds(first, last + _NEXT)
        case tree.Function("begins_with", (_, start)):
            return Bounds.of_prefix(prefix + sort_bytes(_literal(start, key)))
    raise ValidationFailed("Query key condition not supported")


def _flat(condition: tree.Condition) -> list[tree.Condition]:
    match condition:
        case tree.And(left, right):
            return _flat(left) + _flat(right)
        case tree.Or():
            raise _unfit("Invalid operator used in KeyConditionExpression: OR")
        case tree.Not():
            raise _unfit("Invalid operator used in KeyConditionExpression: NOT")
        case tree.In():
            raise _unfit("Invalid operator used in KeyConditionExpression: IN")
        case tree.Comparison("<>"):
            raise _unfit("Invalid operator used in KeyConditionExpression: <>")
        case tree.Function(name) if name != "begins_with":
            raise _unfit(f"Invalid operator used in KeyConditionExpression: {name}")
    return [condition]


def _unfit(message: str) -> ValidationFailed:
    return ValidationFailed(message)


def _key_name(condition: tree.Condition) -> str:
    match condition:
        case (
            tree.Comparison(_, tree.Path((str(name),)), _)
            | tree.Between(tree.Path((str(name),)))
            | tree.Function(_, (tree.Path((str(name),)), _))
        ):
            return name
        case tree.Comparison(_, tree.Path()) | tree.Between(tree.Path()) | tree.Function(_, (tree.Path(), _)):
            raise ValidationFailed(
                "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes"
            )
    raise ValidationFailed(
        "Invalid KeyConditionExpression: Operands must be a key attribute and a value, in this order"
    )


def _literal(operand: tree.Operand, key: KeyAttribute) -> Value:
    if not isinstance(operand, tree.Literal):
        raise ValidationFailed("Invalid KeyConditionExpression: The condition on a key must compare it with a value")
    if key.kind not in operand.value:
        raise ValidationFailed(
            "One or more parameter values were invalid: Condition parameter type does not match schema type"
        )
    return operand.value
