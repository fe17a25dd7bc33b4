"""Single items: put, got, updated, deleted."""

from __future__ import annotations

import math
from typing import Any

import orjson

from gateway.call import Call
from gateway.dynamodb_api.expressions.evaluate import meets, projected
from gateway.dynamodb_api.expressions.parse import Expressions
from gateway.dynamodb_api.expressions.tree import Condition, Path, Update
from gateway.dynamodb_api.expressions.update import updated
from gateway.dynamodb_api.found import known_table, refuse_legacy
from gateway.dynamodb_api.writes import Write, Written, carry_out
from hearth.errors import ApiError, ValidationFailed
from hearth.model.attribute_value import MAX_ITEM_BYTES, Item, canonical_item, item_bytes
from hearth.model.table import Table
from hearth.store.tables import TableChanged, TableRead

_CONDITION = ("ConditionExpression",)
_UPDATE = ("UpdateExpression", "ConditionExpression")
READ_UNIT_BYTES, WRITE_UNIT_BYTES = 4096, 1024
_TABLE_TRIES = 10


class ConditionFailed(ApiError):
    """item: as it is, None if there is none; told where the request asks for it."""

    def __init__(self, item: Item | None, *, shown: bool) -> None:
        members = {"Item": item} if shown and item is not None else {}
        super().__init__("ConditionalCheckFailedException", 400, "The conditional request failed", **members)


def put(given: dict[str, Any]) -> Write:
    """Raises ValidationFailed."""
    refuse_legacy(given)
    expressions = Expressions(given, _CONDITION)
    condition = expressions.condition("ConditionExpression")
    expressions.done()
    item = canonical_item(given["Item"])
    if item_bytes(item) > MAX_ITEM_BYTES:
        raise ValidationFailed("Item size has exceeded the maximum allowed size")

    def key(table: Table) -> Item:
        table.check_item(item)
        return table.key_of(item)

    def decide(table: Table, before: Item | None) -> Item:
        _check(condition, before, given)
        return item

    return Write(given["TableName"], key, decide, blind=condition is None)


def delete(given: dict[str, Any]) -> Write:
    """Raises ValidationFailed."""
    refuse_legacy(given)
    expressions = Expressions(given, _CONDITION)
    condition = expressions.condition("ConditionExpression")
    expressions.done()
    wanted = canonical_item(given["Key"])

    def decide(table: Table, before: Item | None) -> None:
        _check(condition, before, given)

    return Write(given["TableName"], _checked_key(wanted), decide, blind=condition is None)


def update(given: dict[str, Any]) -> tuple[Write, list[Path]]:
    """And what it touches. Raises ValidationFailed."""
    refuse_legacy(given)
    expressions = Expressions(given, _UPDATE)
    change = expressions.update() or Update()
    condition = expressions.condition("ConditionExpression")
    expressions.done()
    wanted = canonical_item(given["Key"])
    touched = change.paths

    def key(table: Table) -> Item:
        table.check_key(wanted)
        for name in (attribute.name for attribute in table.keys):
            if any(path.top == name for path in touched):
                raise ValidationFailed(
                    f"One or more parameter values were invalid: Cannot update attribute {name}. "
                    "This attribute is part of the key"
                )
        return wanted

    def decide(table: Table, before: Item | None) -> Item:
        _check(condition, before, given)
        item = updated(change, before if before is not None else wanted)
        if item_bytes(item) > MAX_ITEM_BYTES:
            raise ValidationFailed("Item size to update has exceeded the maximum allowed size")
        return item

    return Write(given["TableName"], key, decide), touched


def check(given: dict[str, Any]) -> Write:
    """A transaction's condition on an item that it leaves as it is. Raises ValidationFailed."""
    expressions = Expressions(given, _CONDITION)
    condition = expressions.condition("ConditionExpression")
    expressions.done()

    def decide(table: Table, before: Item | None) -> Item | None:
        _check(condition, before, given)
        return before

    return Write(given["TableName"], _checked_key(canonical_item(given["Key"])), decide, check_only=True)


def _checked_key(wanted: Item) -> Any:
    def key(table: Table) -> Item:
        table.check_key(wanted)
        return wanted

    return key


def _check(condition: Condition | None, before: Item | None, given: dict[str, Any]) -> None:
    if not meets(condition, before or {}):
        raise ConditionFailed(before, shown=given.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD")


# --- operations ---------------------------------------------------------------------------------------------------
async def put_item(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    _check_returned(given)
    (written,) = await carry_out(call, [put(given)])
    return {**_old(written, given), **_written_units(written, given)}


async def delete_item(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    _check_returned(given)
    (written,) = await carry_out(call, [delete(given)])
    return {**_old(written, given), **_written_units(written, given)}


async def update_item(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    write, touched = update(given)
    (written,) = await carry_out(call, [write])
    wanted = given.get("ReturnValues", "NONE")
    item = written.before if wanted.endswith("_OLD") else written.after
    answer: dict[str, Any] = {}
    if wanted != "NONE" and item is not None:
        shown = item if wanted.startswith("ALL") else projected(touched, item) if touched else {}
        answer = {"Attributes": shown} if shown else {}
    return {**answer, **_written_units(written, given)}


def _check_returned(given: dict[str, Any]) -> None:
    if given.get("ReturnValues", "NONE") not in ("NONE", "ALL_OLD"):
        raise ValidationFailed("Return values set to invalid value")


def _old(written: Written, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("ReturnValues") == "ALL_OLD" and written.before is not None:
        return {"Attributes": written.before}
    return {}


async def get_item(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    refuse_legacy(given)
    expressions = Expressions(given, ("ProjectionExpression",))
    paths = expressions.projection()
    expressions.done()
    key = canonical_item(given["Key"])
    ((table, item),) = await read_items(call, [(given["TableName"], key)])
    shown = {} if item is None else {"Item": projected(paths, item)}
    units = read_units(item_bytes(item or {}), consistent=given.get("ConsistentRead", False))
    return {**shown, **consumed(given, table.name, units)}


async def read_items(call: Call, wanted: list[tuple[str, Item]]) -> list[tuple[Table, Item | None]]:
    """By (table's name, canonical key), all as they are at one moment. Raises ApiError."""
    for _ in range(_TABLE_TRIES):
        placed: list[tuple[TableRead, bytes]] = []
        for name, key in wanted:
            read = await known_table(call, name)
            read.table.check_key(key)
            placed.append((read, read.table.place(key)))
        if len({(read.table.arn, place) for read, place in placed}) < len(placed):
            raise ValidationFailed("Provided list of item keys contains duplicates")
        try:
            found = await call.backends.tables.items(placed)
        except TableChanged as exc:
            call.backends.known_tables.drop(exc.table)
            continue
        return [
            (read.table, None if one is None else orjson.loads(one))
            for (read, _), one in zip(placed, found, strict=True)
        ]
    raise ApiError("InternalServerError", 500, "The tables kept changing. Try again.")


# --- what it would cost -------------------------------------------------------------------------------------------
def read_units(size: int, *, consistent: bool) -> float:
    return max(1, math.ceil(size / READ_UNIT_BYTES)) * (1.0 if consistent else 0.5)


def write_units(written: Written) -> float:
    size = max(item_bytes(written.before or {}), item_bytes(written.after or {}))
    return float(max(1, math.ceil(size / WRITE_UNIT_BYTES)))


def consumed(given: dict[str, Any], table: str, units: float) -> dict[str, Any]:
    wanted = given.get("ReturnConsumedCapacity", "NONE")
    if wanted == "NONE":
        return {}
    shown: dict[str, Any] = {"TableName": table, "CapacityUnits": units}
    if wanted == "INDEXES":
        shown["Table"] = {"CapacityUnits": units}
    return {"ConsumedCapacity": shown}


def _written_units(written: Written, given: dict[str, Any]) -> dict[str, Any]:
    return consumed(given, written.table.name, write_units(written))
