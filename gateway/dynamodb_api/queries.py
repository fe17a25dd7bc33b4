"""Many items: a partition in the order of its sort keys, or the whole table, page by page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway.call import Call
from gateway.dynamodb_api.expressions.evaluate import meets, projected
from gateway.dynamodb_api.expressions.parse import Expressions
from gateway.dynamodb_api.expressions.tree import Condition, Path, paths_of
from gateway.dynamodb_api.found import known_table, refuse_legacy
from gateway.dynamodb_api.items import consumed, read_units
from gateway.dynamodb_api.key_conditions import key_bounds
from hearth.errors import ApiError, ValidationFailed
from hearth.model.attribute_value import Item, canonical_item, item_bytes
from hearth.model.table import Table, segment_start
from hearth.store.tables import Bounds, TableChanged, TableRead

#: of one call, before its filter
MAX_BYTES = 2**20
_AT_ONCE = 500
_TRIES = 10


@dataclass(frozen=True, slots=True)
class _Page:
    items: list[Item]
    scanned: int
    size: int
    #: the key of the last one looked at, if there may be more
    last: Item | None


async def query(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    refuse_legacy(given)
    expressions = Expressions(given, ("KeyConditionExpression", "FilterExpression", "ProjectionExpression"))
    key_condition = expressions.condition("KeyConditionExpression")
    filtered, paths = _filter_and_projection(given, expressions)
    if key_condition is None:
        raise ValidationFailed(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )

    def bounds(table: Table) -> Bounds:
        for key in table.keys:
            if filtered is not None and any(path.top == key.name for path in paths_of(filtered)):
                raise ValidationFailed(
                    f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {key.name}"
                )
        found = key_bounds(table, key_condition)
        return replace(found, backwards=not given.get("ScanIndexForward", True))

    return await _answer(call, given, bounds, filtered, paths)


async def scan(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    refuse_legacy(given)
    expressions = Expressions(given, ("FilterExpression", "ProjectionExpression"))
    filtered, paths = _filter_and_projection(given, expressions)
    segment, segments = given.get("Segment"), given.get("TotalSegments")
    if (segment is None) != (segments is None):
        one, other = ("Segment", "TotalSegments") if segment is None else ("TotalSegments", "Segment")
        raise ValidationFailed(
            f"The {one} parameter is required but was not present in the request when {other} parameter is present"
        )
    if segment is not None and segment >= segments:
        raise ValidationFailed(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {segments}"
        )

    def bounds(table: Table) -> Bounds:
        if segment is None or segments is None:
            return Bounds(b"", b"")
        end = segment_start(segment + 1, segments) if segment + 1 < segments else b""
        return Bounds(segment_start(segment, segments) if segment else b"", end)

    return await _answer(call, given, bounds, filtered, paths)


def _filter_and_projection(
    given: dict[str, Any], expressions: Expressions
) -> tuple[Condition | None, list[Path] | None]:
    filtered, paths = expressions.condition("FilterExpression"), expressions.projection()
    expressions.done()
    select = given.get("Select")
    if paths is not None and select not in (None, "SPECIFIC_ATTRIBUTES"):
        what = "only the Count" if select == "COUNT" else select
        raise ValidationFailed(f"Cannot specify the ProjectionExpression when choosing to get {what}")
    if paths is None and select == "SPECIFIC_ATTRIBUTES":
        raise ValidationFailed(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if (index := given.get("IndexName")) is not None:
        raise ValidationFailed(f"The table does not have the specified index: {index}")
    return filtered, paths


async def _answer(
    call: Call, given: dict[str, Any], bounds: Any, filtered: Condition | None, paths: list[Path] | None
) -> dict[str, Any]:
    for _ in range(_TRIES):
        read = await known_table(call, given["TableName"])
        within = bounds(read.table)
        if (start := given.get("ExclusiveStartKey")) is not None:
            within = replace(within, after=_start(read.table, canonical_item(start), within))
        try:
            page = await _page(call, read, within, given.get("Limit"), filtered)
        except TableChanged:
            call.backends.known_tables.drop(read.table)
            continue
        answer: dict[str, Any] = {"Count": len(page.items), "ScannedCount": page.scanned}
        if given.get("Select") != "COUNT":
            answer["Items"] = [projected(paths, item) for item in page.items]
        if page.last is not None:
            answer["LastEvaluatedKey"] = page.last
        units = read_units(page.size, consistent=given.get("ConsistentRead", False))
        return {**answer, **consumed(given, read.table.name, units)}
    raise ApiError("InternalServerError", 500, f"Table {given['TableName']} kept changing. Try again.")


def _start(table: Table, key: Item, within: Bounds) -> bytes:
    """The place that reading goes on behind."""
    try:
        table.check_key(key)
    except ValidationFailed as exc:
        raise ValidationFailed(f"The provided starting key is invalid: {exc.message}") from exc
    place = table.place(key)
    if place < within.low or (within.high and place >= within.high):
        raise ValidationFailed("The provided starting key is outside query boundaries based on provided conditions")
    return place


async def _page(call: Call, read: TableRead, within: Bounds, limit: int | None, filtered: Condition | None) -> _Page:
    items: list[Item] = []
    scanned = size = 0
    while True:
        count = _AT_ONCE if limit is None else min(_AT_ONCE, limit - scanned)
        found = await call.backends.tables.items_between(read, within, count=count, most_bytes=MAX_BYTES - size)
        for place, text in found:
            item = orjson.loads(text)
            scanned, size = scanned + 1, size + item_bytes(item)
            if meets(filtered, item):
                items.append(item)
            if scanned == limit or size >= MAX_BYTES:
                return _Page(items, scanned, size, read.table.key_of(item))
            within = replace(within, after=place)
        if not found:
            return _Page(items, scanned, size, None)
