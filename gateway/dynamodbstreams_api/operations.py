"""DynamoDB Streams: the streams of tables, listed, described and read.

Every stream is one shard. Source: DynamoDB Streams API reference; texts as recorded from AWS where they are recorded.
"""

from __future__ import annotations

from typing import Any

from gateway.call import Call, Operation
from gateway.dynamodbstreams_api.positions import Iterator, entry_at
from hearth.clock import now_ms
from hearth.errors import ApiError, ValidationFailed
from hearth.model.change import STREAM_ARN, Change, ChangeStream, horizon_ms
from hearth.model.stream import EntryId

MAX_STREAMS = MAX_SHARDS = 100
#: of one GetRecords
MAX_RECORDS, MAX_BYTES = 1000, 2**20
_AT_ONCE = 200


async def list_streams(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit = _limit(given, MAX_STREAMS)
    after, table = given.get("ExclusiveStartStreamArn", ""), given.get("TableName")
    now = now_ms()
    found = [
        stream
        for stream in await call.backends.changes.streams(call.caller.account, call.caller.region)
        if not stream.expired(now) and stream.arn > after and table in (None, stream.table)
    ]
    answer: dict[str, Any] = {
        "Streams": [{"StreamArn": one.arn, "TableName": one.table, "StreamLabel": one.label} for one in found[:limit]]
    }
    return {**answer, "LastEvaluatedStreamArn": found[limit - 1].arn} if len(found) > limit else answer


async def describe_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit = _limit(given, MAX_SHARDS)
    stream = await _stream_of(call, given["StreamArn"])
    shards = [_shown_shard(stream)] if stream.shard_id > given.get("ExclusiveStartShardId", "") else []
    if (wanted := given.get("ShardFilter")) is not None:
        if wanted.get("ShardId") != stream.shard_id:
            raise _no_shard(stream, str(wanted.get("ShardId")))
        shards = []  # the only one has no children
    return {
        "StreamDescription": {
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": "ENABLED" if stream.enabled else "DISABLED",
            "StreamViewType": stream.view,
            "CreationRequestDateTime": stream.created_at_ms / 1000,
            "TableName": stream.table,
            "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in stream.keys],
            "Shards": shards[:limit],
        }
    }


def _shown_shard(stream: ChangeStream) -> dict[str, Any]:
    numbers = {
        "StartingSequenceNumber": stream.starting_sequence_number,
        "EndingSequenceNumber": stream.ending_sequence_number,
    }
    return {"ShardId": stream.shard_id, "SequenceNumberRange": numbers}


async def get_shard_iterator(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stream, now = await _stream_of(call, given["StreamArn"]), now_ms()
    if given["ShardId"] != stream.shard_id:
        raise _no_shard(stream, given["ShardId"])
    entry = await entry_at(call, stream, given, now)
    return {"ShardIterator": Iterator(stream.arn, entry, now).token(call.backends.secret)}


async def get_records(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit, now = _limit(given, MAX_RECORDS), now_ms()
    iterator = Iterator.read(given["ShardIterator"], call.backends.secret, now)
    stream = await _stream_of(call, iterator.stream_arn)
    changes, following = await _read(call, stream, max(iterator.entry, EntryId(horizon_ms(now), 0)), limit)
    answer: dict[str, Any] = {"Records": [change.record(stream) for change in changes]}
    if following is not None:
        answer["NextShardIterator"] = Iterator(stream.arn, following, now).token(call.backends.secret)
    return answer


async def _read(call: Call, stream: ChangeStream, start: EntryId, limit: int) -> tuple[list[Change], EntryId | None]:
    """At most `limit` and about MAX_BYTES, at least one if there is one; and where to go on, None: nowhere.

    `stream` was read before: if it was disabled then, its log had its last entry.
    """
    changes: list[Change] = []
    size = 0
    while len(changes) < limit and size < MAX_BYTES:
        found = await call.backends.changes.read(stream, start, min(_AT_ONCE, limit - len(changes)))
        if not found:
            return changes, start if stream.enabled else None
        for change in found:
            changes.append(change)
            start = change.entry.following()
            size += change.size_bytes
            if size >= MAX_BYTES:
                break
    return changes, start


async def _stream_of(call: Call, arn: str) -> ChangeStream:
    """Raises ValidationFailed, ResourceNotFoundException."""
    match = STREAM_ARN.fullmatch(arn)
    if match is None:
        raise ValidationFailed(f"Invalid StreamArn: {arn}")
    ours = (match["account"], match["region"]) == (call.caller.account, call.caller.region)
    stream = await call.backends.changes.stream(arn) if ours else None
    if stream is None or stream.expired(now_ms()):
        raise ApiError("ResourceNotFoundException", 400, f"Requested resource not found: Stream: {arn} not found")
    return stream


def _no_shard(stream: ChangeStream, shard_id: str) -> ApiError:
    return ApiError(
        "ResourceNotFoundException",
        400,
        f"Requested resource not found: Shard {shard_id} in Stream: {stream.arn} not found",
    )


def _limit(given: dict[str, Any], most: int) -> int:
    limit = int(given.get("Limit", most))
    if limit > most:
        raise ValidationFailed(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            f"Member must have value less than or equal to {most}"
        )
    return limit


OPERATIONS: dict[str, Operation] = {
    "DescribeStream": describe_stream,
    "GetRecords": get_records,
    "GetShardIterator": get_shard_iterator,
    "ListStreams": list_streams,
}
