"""Shards: listed, split, merged, scaled. A shard that was split or merged stays readable until its records expire."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from gateway.call import Call
from gateway.kinesis_api.found import change, invalid, shard_to_change, stream_of
from gateway.kinesis_api.streams import check_shard_limit, shown_shard
from hearth.clock import now_ms
from hearth.errors import ApiError
from hearth.model.stream import ON_DEMAND, Shard, Stream, merge, scaled, split

_AT_ONCE = 1000
_TOKEN_MS = 300_000


async def list_shards(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    now, query = now_ms(), given
    after = given.get("ExclusiveStartShardId", "")
    if token := given.get("NextToken"):
        if "StreamName" in given or "StreamARN" in given:
            raise invalid("NextToken and StreamName cannot be provided together.")
        query, after = _read_token(token, now)
    stream = (await stream_of(call, query)).stream
    shards = [shard for shard in _filtered(stream, query.get("ShardFilter"), now) if shard.id > after]
    limit = given.get("MaxResults", _AT_ONCE)
    answer: dict[str, Any] = {"Shards": [shown_shard(shard) for shard in shards[:limit]]}
    if len(shards) > limit:
        kept = {name: query[name] for name in ("StreamName", "StreamARN", "ShardFilter") if name in query}
        position = {"query": kept, "after": shards[limit - 1].id, "at": now}
        answer["NextToken"] = base64.b64encode(orjson.dumps(position)).decode()
    return answer


def _read_token(token: str, now: int) -> tuple[dict[str, Any], str]:
    try:
        found = orjson.loads(base64.b64decode(token, validate=True))
        query, after, at = found["query"], found["after"], found["at"]
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise invalid("Invalid NextToken.") from exc
    if now - at > _TOKEN_MS:
        raise ApiError("ExpiredNextTokenException", 400, "The NextToken has expired; list the shards anew.")
    return query, after


def _filtered(stream: Stream, shard_filter: dict[str, Any] | None, now: int) -> list[Shard]:
    shards, wanted = stream.listed(now), shard_filter or {"Type": "FROM_TRIM_HORIZON"}
    horizon = max(stream.horizon_ms(now), stream.created_at_ms)
    kind = wanted["Type"]
    if kind.endswith("_TIMESTAMP") and "Timestamp" not in wanted:
        raise invalid(f"Timestamp must be specified for ShardFilter of type {kind}.")
    if kind == "AFTER_SHARD_ID" and "ShardId" not in wanted:
        raise invalid("ShardId must be specified for ShardFilter of type AFTER_SHARD_ID.")
    at = max(horizon, round(wanted.get("Timestamp", 0) * 1000))
    match kind:
        case "AFTER_SHARD_ID":
            return [shard for shard in shards if shard.id > wanted["ShardId"]]
        case "AT_LATEST":
            return [shard for shard in shards if shard.open]
        case "AT_TRIM_HORIZON":
            return [shard for shard in shards if shard.was_open_at(horizon)]
        case "AT_TIMESTAMP":
            return [shard for shard in shards if shard.was_open_at(at)]
        case "FROM_TIMESTAMP":
            return [shard for shard in shards if shard.open or shard.closed_at_ms > at]
    return shards


async def split_shard(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    start = int(given["NewStartingHashKey"])
    await check_shard_limit(call, 1)

    def divided(stream: Stream) -> Stream:
        shard = _changeable(stream, given["ShardToSplit"])
        if not shard.start + 1 < start < shard.end:
            raise invalid(
                f"NewStartingHashKey {start} used in SplitShard() on shard {shard.id} in stream {stream.name} under "
                f"account {stream.account} is not both greater than one plus the shard's StartingHashKey {shard.start} "
                f"and less than the shard's EndingHashKey {shard.end}."
            )
        return split(stream, shard, start, now_ms())

    await change(call, given, divided)
    return {}


async def merge_shards(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def merged(stream: Stream) -> Stream:
        shard = _changeable(stream, given["ShardToMerge"])
        adjacent = _changeable(stream, given["AdjacentShardToMerge"])
        if shard.end + 1 != adjacent.start and adjacent.end + 1 != shard.start:
            raise invalid(
                f"Shards {shard.id} and {adjacent.id} in stream {stream.name} under account {stream.account} "
                "are not an adjacent pair of shards eligible for merging"
            )
        return merge(stream, shard, adjacent, now_ms())

    await change(call, given, merged)
    return {}


async def update_shard_count(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    target = given["TargetShardCount"]
    stream = (await stream_of(call, given)).stream
    await check_shard_limit(call, max(0, target - len(stream.open_shards)))
    counts: list[int] = []

    def resized(stream: Stream) -> Stream:
        _check_provisioned(stream)
        count = len(stream.open_shards)
        counts[:] = [count]
        if target > 2 * count:
            raise _out_of_bounds("up over double", count, target)
        if 2 * target < count:
            raise _out_of_bounds("down below half", count, target)
        return scaled(stream, target, now_ms())

    stream = await change(call, given, resized)
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "CurrentShardCount": counts[0],
        "TargetShardCount": target,
    }


def _out_of_bounds(where: str, count: int, target: int) -> ApiError:
    return invalid(
        f"UpdateShardCount cannot scale {where} your current open shard count. Current open shard count: {count} "
        f"Target shard count: {target}"
    )


def _changeable(stream: Stream, text: str) -> Shard:
    _check_provisioned(stream)
    shard = shard_to_change(stream, text)
    if not shard.open:
        raise invalid(
            f"Shard {shard.id} in stream {stream.name} under account {stream.account} has already been merged or "
            "split, and thus is not eligible for merging or splitting."
        )
    return shard


def _check_provisioned(stream: Stream) -> None:
    if stream.mode == ON_DEMAND:
        raise ApiError(
            "ValidationException",
            400,
            f"Request is invalid. Stream {stream.name} under account {stream.account} is in On-Demand mode.",
        )
