"""LoggingConfiguration: checked and completed as AWS does. Texts as recorded from AWS."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.call import Call
from hearth.errors import ApiError
from hearth.logs.groups import note_delivery

DEFAULT: dict[str, Any] = {"level": "OFF", "includeExecutionData": False}


async def logging_configuration(call: Call, given: dict[str, Any] | None) -> dict[str, Any]:
    """As it is stored and answered."""
    if not given:
        return dict(DEFAULT)
    level = given.get("level", "OFF")
    destinations = given.get("destinations")
    if (level != "OFF" and (destinations is None or len(destinations) != 1)) or len(destinations or ()) > 1:
        raise _invalid("Must specify exactly one Log Destination.")
    for destination in destinations or ():
        await _check(call, destination.get("cloudWatchLogsLogGroup", {}).get("logGroupArn", ""))
    stored = {"level": level, "includeExecutionData": given.get("includeExecutionData", False)}
    return stored if destinations is None else stored | {"destinations": destinations}


async def _check(call: Call, arn: str) -> None:
    name = group_of(arn)
    if name is None:
        raise _invalid("Log Destination not found.")
    groups = await asyncio.to_thread(call.backends.logs.groups, call.caller.account, call.caller.region, name)
    if not any(group.name == name for group in groups):
        raise _invalid("Log Destination not found.")
    root = call.backends.settings.blobs_dir
    await asyncio.to_thread(note_delivery, root, call.caller.account, call.caller.region, name)


def group_of(arn: str) -> str | None:
    """The log group's name; None unless it is the ARN of a group, ending in `:*`."""
    parts = arn.split(":", 6)
    if len(parts) != 7 or parts[2] != "logs" or parts[5] != "log-group" or not parts[6].endswith(":*"):
        return None
    return parts[6].removesuffix(":*")


def _invalid(why: str) -> ApiError:
    return ApiError("InvalidLoggingConfiguration", 400, f"Invalid Logging Configuration: {why}")
