"""Data streams: made, described, listed, deleted, and their settings.

What AWS does in the background is done when the call returns, so a stream is ACTIVE as soon as it is there.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.call import Call
from gateway.kinesis_api.found import change, in_use, invalid, not_found, stream_of
from hearth.clock import now_ms
from hearth.errors import ApiError
from hearth.model.stream import ON_DEMAND, PROVISIONED, Shard, Stream, first_shards, shard_id

ON_DEMAND_SHARDS = 4
MIN_RETENTION_H, MAX_RETENTION_H = 24, 8760
MAX_TAGS = 50
_SHARDS_AT_ONCE, _STREAMS_AT_ONCE = 100, 100
ALL_METRICS = (
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
)


async def create_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    caller, count = call.caller, given.get("ShardCount")
    mode = given.get("StreamModeDetails", {}).get("StreamMode") or (PROVISIONED if count else ON_DEMAND)
    if mode == ON_DEMAND:
        if count is not None:
            raise invalid("ShardCount cannot be specified when StreamMode is ON_DEMAND.")
        count = ON_DEMAND_SHARDS
    elif count is None:
        raise invalid("ShardCount must be specified when StreamMode is PROVISIONED.")
    await check_shard_limit(call, count)
    now = now_ms()
    stream = Stream(
        account=caller.account,
        region=caller.region,
        name=given["StreamName"],
        created_at_ms=now,
        mode=mode,
        shards=first_shards(count, now),
        max_record_kib=given.get("MaxRecordSizeInKiB", 1024),
        tags=checked_tags(given.get("Tags", {})),
        warm_mibps=given.get("WarmThroughputMiBps", 0),
    )
    if not await call.backends.streams.write(stream, read=None):
        raise in_use(f"Stream {stream.name} under account {stream.account} already exists.")
    return {}


async def delete_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    while True:
        read = await stream_of(call, given)
        stream = read.stream
        if stream.consumers and not given.get("EnforceConsumerDeletion"):
            raise in_use(
                f"Stream {stream.name} under account {stream.account} has consumers registered, "
                "deregister them or set EnforceConsumerDeletion."
            )
        if await call.backends.streams.delete(read):
            return {}


async def describe_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stream = (await stream_of(call, given)).stream
    limit, after = given.get("Limit", _SHARDS_AT_ONCE), given.get("ExclusiveStartShardId", "")
    shards = [shard for shard in stream.listed(now_ms()) if shard.id > after]
    return {
        "StreamDescription": {
            **_described(stream),
            "Shards": [shown_shard(shard) for shard in shards[:limit]],
            "HasMoreShards": len(shards) > limit,
        }
    }


async def describe_stream_summary(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stream = (await stream_of(call, given)).stream
    summary = {
        **_described(stream),
        "OpenShardCount": len(stream.open_shards),
        "ConsumerCount": len(stream.consumers),
        "MaxRecordSizeInKiB": stream.max_record_kib,
    }
    if stream.warm_mibps:
        summary["WarmThroughput"] = {"TargetMiBps": stream.warm_mibps, "CurrentMiBps": stream.warm_mibps}
    return {"StreamDescriptionSummary": summary}


async def list_streams(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    account, region = call.caller.account, call.caller.region
    limit, after = given.get("Limit", _STREAMS_AT_ONCE), given.get("NextToken") or given.get("ExclusiveStartStreamName")
    names = await call.backends.streams.names(account, region, after or "")
    reads = [await call.backends.streams.get(account, region, name) for name in names[:limit]]
    streams = [read.stream for read in reads if read is not None]
    more = len(names) > limit
    answer: dict[str, Any] = {
        "StreamNames": [stream.name for stream in streams],
        "HasMoreStreams": more,
        "StreamSummaries": [
            {
                "StreamName": stream.name,
                "StreamARN": stream.arn,
                "StreamStatus": "ACTIVE",
                "StreamModeDetails": {"StreamMode": stream.mode},
                "StreamCreationTimestamp": stream.created_at_ms / 1000,
            }
            for stream in streams
        ],
    }
    return {**answer, "NextToken": names[limit - 1]} if more else answer


async def increase_stream_retention_period(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _retain(call, given, longer=True)


async def decrease_stream_retention_period(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _retain(call, given, longer=False)


async def _retain(call: Call, given: dict[str, Any], *, longer: bool) -> dict[str, Any]:
    hours = given["RetentionPeriodHours"]
    if hours < MIN_RETENTION_H:
        raise invalid(
            f"Minimum allowed retention period is {MIN_RETENTION_H} hours. "
            f"Requested retention period ({hours} hours) is too short."
        )
    if hours > MAX_RETENTION_H:
        raise invalid(
            f"Maximum allowed retention period is {MAX_RETENTION_H} hours. "
            f"Requested retention period ({hours} hours) is too long."
        )

    def retained(stream: Stream) -> Stream:
        if (longer and hours < stream.retention_h) or (not longer and hours > stream.retention_h):
            than = "shorter" if longer else "longer"
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be {than} than "
                f"existing retention period ({stream.retention_h} hours)."
                f" Use {'Decrease' if longer else 'Increase'}RetentionPeriod API."
            )
        return dataclasses.replace(stream, retention_h=hours)

    await change(call, given, retained)
    return {}


async def update_stream_mode(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    mode = given["StreamModeDetails"]["StreamMode"]
    await change(call, given, lambda stream: dataclasses.replace(stream, mode=mode))
    return {}


async def update_max_record_size(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    size = given["MaxRecordSizeInKiB"]
    await change(call, given, lambda stream: dataclasses.replace(stream, max_record_kib=size))
    return {}


async def start_stream_encryption(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    key_id = given["KeyId"]
    await change(call, given, lambda stream: dataclasses.replace(stream, key_id=key_id))
    return {}


async def stop_stream_encryption(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await change(call, given, lambda stream: dataclasses.replace(stream, key_id=""))
    return {}


async def enable_enhanced_monitoring(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _monitor(call, given, on=True)


async def disable_enhanced_monitoring(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _monitor(call, given, on=False)


async def _monitor(call: Call, given: dict[str, Any], *, on: bool) -> dict[str, Any]:
    named = set(given["ShardLevelMetrics"])
    if "ALL" in named:
        named = set(ALL_METRICS)
    before: list[str] = []

    def monitored(stream: Stream) -> Stream:
        before[:] = stream.metrics
        wanted = set(stream.metrics) | named if on else set(stream.metrics) - named
        return dataclasses.replace(stream, metrics=tuple(sorted(wanted)))

    stream = await change(call, given, monitored)
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "CurrentShardLevelMetrics": before,
        "DesiredShardLevelMetrics": list(stream.metrics),
    }


async def put_resource_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    policy = given["Policy"]
    await change(call, _by_resource(given), lambda stream: dataclasses.replace(stream, policy=policy))
    return {}


async def get_resource_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return {"Policy": (await stream_of(call, _by_resource(given))).stream.policy or "{}"}


async def delete_resource_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def without(stream: Stream) -> Stream:
        if not stream.policy:
            raise not_found(f"No resource policy found for resource {stream.arn}")
        return dataclasses.replace(stream, policy="")

    await change(call, _by_resource(given), without)
    return {}


async def describe_limits(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit = call.backends.settings.stream_shard_limit
    used = await call.backends.streams.open_shards(call.caller.account, call.caller.region)
    return {"ShardLimit": limit, "OpenShardCount": used, "OnDemandStreamCount": 0, "OnDemandStreamCountLimit": limit}


async def check_shard_limit(call: Call, more: int) -> None:
    """Raises LimitExceededException."""
    account, region, limit = call.caller.account, call.caller.region, call.backends.settings.stream_shard_limit
    used = await call.backends.streams.open_shards(account, region)
    if used + more > limit:
        raise ApiError(
            "LimitExceededException",
            400,
            f"This request would exceed the shard limit for the account {account} in {region}. Current shard count "
            f"for the account: {used}. Limit: {limit}. Number of additional shards that would have resulted from "
            f"this request: {more}. Refer to the AWS Service Limits page for current limits and how to request "
            "higher limits.",
        )


def checked_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MAX_TAGS:
        raise invalid(f"Failed to add tags to stream: a stream may have at most {MAX_TAGS} tags.")
    return tags


def shown_shard(shard: Shard) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ShardId": shard.id,
        "HashKeyRange": {"StartingHashKey": str(shard.start), "EndingHashKey": str(shard.end)},
        "SequenceNumberRange": {
            "StartingSequenceNumber": shard.starting_sequence_number,
            "EndingSequenceNumber": shard.ending_sequence_number,
        },
    }
    if shard.parent is not None:
        shown["ParentShardId"] = shard_id(shard.parent)
    if shard.adjacent_parent is not None:
        shown["AdjacentParentShardId"] = shard_id(shard.adjacent_parent)
    return shown


def _described(stream: Stream) -> dict[str, Any]:
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": stream.mode},
        "RetentionPeriodHours": stream.retention_h,
        "StreamCreationTimestamp": stream.created_at_ms / 1000,
        "EnhancedMonitoring": [{"ShardLevelMetrics": list(stream.metrics)}],
        "EncryptionType": "KMS" if stream.key_id else "NONE",
        "KeyId": stream.key_id or None,
    }


def _by_resource(given: dict[str, Any]) -> dict[str, Any]:
    return {"StreamARN": given["ResourceARN"]}
