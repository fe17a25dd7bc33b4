"""The table that a call names, and AWS's errors of tables.

What is done with a table is done by the state it was read in; when another write changed it, it is read and done anew.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from gateway.call import Call
from hearth.clock import now_ms
from hearth.errors import ApiError, ValidationFailed
from hearth.model.table import Table
from hearth.store.tables import TableRead

_TABLE_ARN = re.compile(r"arn:aws[a-z-]*:dynamodb:([a-z0-9-]+):(\d{12}):table/([A-Za-z0-9_.-]+)")
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_TRIES = 10
#: request members of the API as it was before expressions
LEGACY = (
    "AttributeUpdates",
    "AttributesToGet",
    "ConditionalOperator",
    "Expected",
    "KeyConditions",
    "QueryFilter",
    "ScanFilter",
)


def place_of(call: Call, name: str) -> tuple[str, str, str]:
    """(account, region, name) of a name or an ARN. Raises ValidationFailed."""
    if name.startswith("arn:"):
        match = _TABLE_ARN.fullmatch(name)
        if match is None:
            raise ValidationFailed(f"Invalid TableArn: {name}")
        if (match[2], match[1]) != (call.caller.account, call.caller.region):
            raise no_data()
        return match[2], match[1], match[3]
    check_name(name)
    return call.caller.account, call.caller.region, name


def check_name(name: str) -> None:
    """Raises ValidationFailed."""
    if not 3 <= len(name) <= 255:
        raise ValidationFailed("TableName must be at least 3 characters long and at most 255 characters long")
    if not _NAME.fullmatch(name):
        raise ValidationFailed(
            f"1 validation error detected: Value '{name}' at 'tableName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
        )


async def table_of(call: Call, name: str) -> TableRead:
    """As it is now. Raises ResourceNotFoundException."""
    account, region, name = place_of(call, name)
    read = await call.backends.tables.get(account, region, name)
    if read is None:
        raise no_table(name)
    return read


async def known_table(call: Call, name: str) -> TableRead:
    """For work on items, which finds out when the table has changed. Raises ResourceNotFoundException."""
    account, region, name = place_of(call, name)
    read = await call.backends.known_tables.get(account, region, name)
    if read is None:
        raise no_data()
    return read


async def change(call: Call, name: str, how: Callable[[Table], Table]) -> Table:
    """Replace the table's record by what `how` makes of it, however many others change it too; the new one."""
    for _ in range(_TRIES):
        read = await table_of(call, name)
        changed = how(read.table)
        closed = read.table.stream if changed.stream is None else None
        if closed is not None:
            closed = dataclasses.replace(closed, disabled_at_ms=now_ms())
        if await call.backends.tables.write(changed, read=read, closed=closed):
            return changed
    raise in_use(f"Attempt to change a resource which is still in use: Table is being updated: {name}")


def refuse_legacy(given: dict[str, Any]) -> None:
    """Raises ValidationFailed."""
    if found := [member for member in LEGACY if given.get(member)]:
        raise ValidationFailed(
            f"{', '.join(found)}: not offered by Hearth's own tables. Use expressions (ConditionExpression, "
            "UpdateExpression, KeyConditionExpression, FilterExpression, ProjectionExpression)."
        )


def no_table(name: str) -> ApiError:
    return ApiError("ResourceNotFoundException", 400, f"Requested resource not found: Table: {name} not found")


def no_data() -> ApiError:
    """Of the operations on items, which name no table in their error."""
    return ApiError("ResourceNotFoundException", 400, "Requested resource not found")


def in_use(message: str) -> ApiError:
    return ApiError("ResourceInUseException", 400, message)
