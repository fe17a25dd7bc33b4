"""Items of several tables at once: batches, and transactions, which are done wholly or not at all.

A batch's writes go to each table at once; here none of them is ever left unprocessed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson

from gateway.call import Call
from gateway.dynamodb_api.expressions.evaluate import projected
from gateway.dynamodb_api.expressions.parse import Expressions
from gateway.dynamodb_api.expressions.tree import Path
from gateway.dynamodb_api.items import (
    ConditionFailed,
    check,
    consumed,
    delete,
    put,
    read_items,
    read_units,
    update,
    write_units,
)
from gateway.dynamodb_api.writes import Conflict, Write, Written, carry_out
from hearth.errors import ApiError, ValidationFailed
from hearth.model.attribute_value import Item, canonical_item, item_bytes
from hearth.model.table import NO_MATCH, Table
from hearth.store.tables import AlreadyDone, Token

MAX_WRITES, MAX_KEYS, MAX_TRANSACTION = 25, 100, 100
MAX_ANSWER_BYTES = 16 * 2**20


async def batch_write_item(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    writes: list[Write] = []
    for table, requests in given["RequestItems"].items():
        for request in requests:
            if len(request) != 1:
                raise ValidationFailed(
                    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
                    "supported datatypes"
                )
            writes.append(
                _keyed(put({"TableName": table, "Item": request["PutRequest"]["Item"]}))
                if "PutRequest" in request
                else delete({"TableName": table, "Key": request["DeleteRequest"]["Key"]})
            )
    if not 0 < len(writes) <= MAX_WRITES:
        raise ValidationFailed(
            "Too many items requested for the BatchWriteItem call"
            if writes
            else "The batch write request list for a table cannot be null or empty"
        )
    written = await carry_out(call, writes)
    return {"UnprocessedItems": {}, **_units(given, written)}


def _keyed(write: Write) -> Write:
    """A put of a batch: recorded from AWS, its item's key is complained of as other keys are."""

    def key(table: Table) -> Item:
        try:
            return write.key(table)
        except ValidationFailed as exc:
            raise ValidationFailed(NO_MATCH) from exc

    return replace(write, key=key)


async def batch_get_item(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    wanted = given["RequestItems"]
    if sum(len(one["Keys"]) for one in wanted.values()) > MAX_KEYS:
        raise ValidationFailed("Too many items requested for the BatchGetItem call")
    paths: dict[str, list[Path] | None] = {}
    keys: list[tuple[str, Item]] = []
    for name, one in wanted.items():
        expressions = Expressions(one, ("ProjectionExpression",))
        paths[name] = expressions.projection()
        expressions.done()
        keys += [(name, canonical_item(key)) for key in one["Keys"]]
    responses: dict[str, list[Item]] = {name: [] for name in wanted}
    unprocessed: dict[str, Any] = {}
    units: dict[str, float] = {}
    size = 0
    for (name, key), (table, item) in zip(keys, await read_items(call, keys), strict=True):
        weight = item_bytes(item or {})
        size += weight
        if size > MAX_ANSWER_BYTES:
            unprocessed.setdefault(name, {**wanted[name], "Keys": []})["Keys"].append(key)
            continue
        if item is not None:
            responses[name].append(projected(paths[name], item))
        consistent = wanted[name].get("ConsistentRead", False)
        units[table.name] = units.get(table.name, 0.0) + read_units(weight, consistent=consistent)
    return {"Responses": responses, "UnprocessedKeys": unprocessed, **_consumed(given, units)}


async def transact_write_items(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    writes: list[Write] = []
    for one in given["TransactItems"]:
        if len(one) != 1:
            raise ValidationFailed("TransactItems can only contain one of Check, Put, Update or Delete")
        ((kind, members),) = one.items()
        match kind:
            case "ConditionCheck":
                writes.append(check(members))
            case "Put":
                writes.append(put(members))
            case "Delete":
                writes.append(delete(members))
            case _:
                writes.append(update(members)[0])
    token = _token(call, given)
    if token is not None and (done := await call.backends.tables.done_under(token)) is not None:
        return _done_before(token, done)
    reasons: list[dict[str, Any]] = [{} for _ in writes]

    def check_all() -> None:
        if any(reason["Code"] != "None" for reason in reasons):
            raise _cancelled(reasons)

    reasoned = [_reasoned(write, reason) for write, reason in zip(writes, reasons, strict=True)]
    try:
        written = await carry_out(call, reasoned, token, before_writing=check_all)
    except AlreadyDone as exc:
        return _done_before(token, exc.digest)
    except Conflict as exc:
        conflict = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
        raise _cancelled([conflict for _ in writes]) from exc
    return _units(given, written)


def _token(call: Call, given: dict[str, Any]) -> Token | None:
    if (text := given.get("ClientRequestToken")) is None:
        return None
    asked = orjson.dumps(given["TransactItems"], option=orjson.OPT_SORT_KEYS)
    return Token(call.caller.account, call.caller.region, text, hashlib.sha256(asked).hexdigest())


def _done_before(token: Token | None, digest: str) -> dict[str, Any]:
    if token is not None and token.digest != digest:
        raise ApiError(
            "IdempotentParameterMismatchException",
            400,
            "The request uses the same client token as a previous, but non-identical request.",
        )
    return {}


def _reasoned(write: Write, reason: dict[str, Any]) -> Write:
    """The same write; rather than raise it notes in `reason` why it can't be done, so that all reasons are told."""

    def decide(table: Table, before: Item | None) -> Item | None:
        reason.clear()
        reason["Code"] = "None"
        try:
            return write.decide(table, before)
        except ConditionFailed as exc:
            reason.update({"Code": "ConditionalCheckFailed", "Message": exc.message, **exc.members})
        except ValidationFailed as exc:
            reason.update({"Code": "ValidationError", "Message": exc.message})
        return before

    return replace(write, decide=decide)


def _cancelled(reasons: list[dict[str, Any]]) -> ApiError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    return ApiError(
        "TransactionCanceledException",
        400,
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


async def transact_get_items(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """All as they are at one moment."""
    paths: list[list[Path] | None] = []
    keys: list[tuple[str, Item]] = []
    for get in (one["Get"] for one in given["TransactItems"]):
        expressions = Expressions(get, ("ProjectionExpression",))
        paths.append(expressions.projection())
        expressions.done()
        keys.append((get["TableName"], canonical_item(get["Key"])))
    found = await read_items(call, keys)
    responses: list[dict[str, Any]] = [
        {} if item is None else {"Item": projected(shown, item)} for shown, (_, item) in zip(paths, found, strict=True)
    ]
    return {"Responses": responses}


def _units(given: dict[str, Any], written: list[Written]) -> dict[str, Any]:
    totals: dict[str, float] = {}
    for one in written:
        totals[one.table.name] = totals.get(one.table.name, 0.0) + write_units(one)
    return _consumed(given, totals)


def _consumed(given: dict[str, Any], totals: dict[str, float]) -> dict[str, Any]:
    """By table."""
    shown = [consumed(given, table, units) for table, units in totals.items()]
    return {"ConsumedCapacity": [one["ConsumedCapacity"] for one in shown]} if any(shown) else {}
