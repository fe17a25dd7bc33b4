"""CloudWatch Logs over what functions and workflows wrote: their groups, streams and events.

Source: CloudWatch Logs API reference. Files are read in threads.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
from typing import Any

import orjson

from gateway.call import Call
from gateway.logs_api.filter_pattern import compile_pattern
from hearth.arn import log_group_arn
from hearth.errors import ApiError
from hearth.logs import groups
from hearth.logs.reader import LogEvent, LogGroup, LogStream

MAX_EVENTS = 10_000
PAGE = 50
_NEWEST_MS = 1 << 62


async def describe_log_groups(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    if "logGroupNamePrefix" in given and "logGroupNamePattern" in given:
        raise _invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    prefix = given.get("logGroupNamePrefix", "")
    found = await asyncio.to_thread(call.backends.logs.groups, call.caller.account, call.caller.region, prefix)
    if pattern := given.get("logGroupNamePattern", "").lower():
        found = [group for group in found if pattern in group.name.lower()]
    page, token = _page(found, given)
    return {"logGroups": [_group(call, group) for group in page], "nextToken": token}


async def create_log_group(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    root, caller = call.backends.settings.blobs_dir, call.caller
    if not await asyncio.to_thread(groups.create, root, caller.account, caller.region, given["logGroupName"]):
        raise ApiError("ResourceAlreadyExistsException", 400, "The specified log group already exists")
    return {}


async def delete_log_group(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    root, caller = call.backends.settings.blobs_dir, call.caller
    if not await asyncio.to_thread(groups.delete, root, caller.account, caller.region, given["logGroupName"]):
        raise _no_group()
    return {}


async def describe_log_streams(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    name = _group_name(given)
    prefix = given.get("logStreamNamePrefix", "")
    by_time = given.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    streams = [stream for stream in await _streams(call, name) if stream.name.startswith(prefix)]
    streams.sort(key=lambda stream: stream.last_ms if by_time else stream.name, reverse=given.get("descending", False))
    page, token = _page(streams, given)
    return {"logStreams": [_stream(call, name, stream) for stream in page], "nextToken": token}


async def get_log_events(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    group, stream = _group_name(given), given["logStreamName"]
    if stream not in {known.name for known in await _streams(call, group)}:
        raise ApiError("ResourceNotFoundException", 400, "The specified log stream does not exist.")
    events = await asyncio.to_thread(_read, call, group, stream, given)
    limit = given.get("limit", MAX_EVENTS)
    if token := given.get("nextToken"):
        direction, position = _read_position(token)
        start, end = (position, position + limit) if direction == "f" else (position - limit, position)
    elif given.get("startFromHead"):
        start, end = 0, limit
    else:
        start, end = len(events) - limit, len(events)
    start, end = max(0, start), min(max(0, end), len(events))
    # Tokens don't run out: at either end the same one comes back, which is how clients notice.
    return {
        "events": [
            {"timestamp": event.t_ms, "message": event.message, "ingestionTime": event.ingested_ms}
            for event in events[start:end]
        ],
        "nextForwardToken": f"f/{end:056d}",
        "nextBackwardToken": f"b/{start:056d}",
    }


async def filter_log_events(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    group = _group_name(given)
    streams = {stream.name for stream in await _streams(call, group)}
    if "logStreamNames" in given and "logStreamNamePrefix" in given:
        raise _invalid("logStreamNamePrefix and logStreamNames are mutually exclusive parameters.")
    wanted = {
        name for name in given.get("logStreamNames", streams) if name.startswith(given.get("logStreamNamePrefix", ""))
    }
    if unknown := wanted - streams:
        raise ApiError(
            "ResourceNotFoundException", 400, f"The specified log stream does not exist: {sorted(unknown)[0]}"
        )
    matches = compile_pattern(given.get("filterPattern", ""))
    skip = _read_token(given.get("nextToken"))
    limit = given.get("limit", MAX_EVENTS)

    def read() -> list[tuple[int, LogEvent]]:
        found = enumerate(_events(call, group, None, given))
        kept = ((n, e) for n, e in found if n >= skip and e.stream in wanted and matches(e.message))
        return list(itertools.islice(kept, limit + 1))

    found = await asyncio.to_thread(read)
    return {
        "events": [
            {
                "logStreamName": event.stream,
                "timestamp": event.t_ms,
                "message": event.message,
                "ingestionTime": event.ingested_ms,
                "eventId": f"{event.t_ms:020d}{position:036d}",
            }
            for position, event in found[:limit]
        ],
        "searchedLogStreams": [],
        "nextToken": _token(found[limit][0]) if len(found) > limit else None,
    }


def _read(call: Call, group: str, stream: str, given: dict[str, Any]) -> list[LogEvent]:
    return list(_events(call, group, stream, given))


def _events(call: Call, group: str, stream: str | None, given: dict[str, Any]) -> Any:
    return call.backends.logs.events(
        call.caller.account,
        call.caller.region,
        group,
        stream,
        given.get("startTime", 0),
        given.get("endTime", _NEWEST_MS),
    )


async def _streams(call: Call, group: str) -> list[LogStream]:
    """Raises ResourceNotFoundException if there is no such group."""
    streams = await asyncio.to_thread(call.backends.logs.streams, call.caller.account, call.caller.region, group)
    if not streams:
        caller = call.caller
        known = await asyncio.to_thread(call.backends.logs.groups, caller.account, caller.region, group)
        if all(one.name != group for one in known):
            raise _no_group()
    return streams


def _no_group() -> ApiError:
    return ApiError("ResourceNotFoundException", 400, "The specified log group does not exist.")


def _group_name(given: dict[str, Any]) -> str:
    """From logGroupName, or from logGroupIdentifier, which may be an ARN."""
    name, identifier = given.get("logGroupName"), given.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise _invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
    if name is not None:
        return name
    assert identifier is not None
    return identifier.split(":log-group:")[-1].removesuffix(":*")


def _group(call: Call, group: LogGroup) -> dict[str, Any]:
    arn = log_group_arn(call.caller.region, call.caller.account, group.name)
    return {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "retentionInDays": call.backends.settings.log_retention_days,
        "metricFilterCount": 0,
        "arn": arn,
        "logGroupArn": arn.removesuffix(":*"),
        "storedBytes": group.stored_bytes,
        "logGroupClass": "STANDARD",
    }


def _stream(call: Call, group: str, stream: LogStream) -> dict[str, Any]:
    arn = log_group_arn(call.caller.region, call.caller.account, group).removesuffix(":*")
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "firstEventTimestamp": stream.first_ms,
        "lastEventTimestamp": stream.last_ms,
        "lastIngestionTime": stream.last_ms,
        "arn": f"{arn}:log-stream:{stream.name}",
        "storedBytes": stream.stored_bytes,
    }


def _page(items: list[Any], given: dict[str, Any]) -> tuple[list[Any], str | None]:
    start = _read_token(given.get("nextToken"))
    end = start + given.get("limit", PAGE)
    return items[start:end], _token(end) if end < len(items) else None


def _token(position: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode()


def _read_token(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return max(0, int(orjson.loads(base64.urlsafe_b64decode(token))))
    except (binascii.Error, ValueError, TypeError) as exc:
        raise _invalid("The specified nextToken is invalid.") from exc


def _read_position(token: str) -> tuple[str, int]:
    direction, _, digits = token.partition("/")
    if direction not in ("f", "b") or not digits.isdecimal():
        raise _invalid("The specified nextToken is invalid.")
    return direction, int(digits)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", 400, message)
