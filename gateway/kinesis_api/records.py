"""Records in and out. A put is answered when it is durable; within a shard records have the order of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.call import Call
from gateway.kinesis_api.found import invalid, no_stream, place_of, shard_to_read, stream_of
from gateway.kinesis_api.positions import Iterator, entry_at, iterator_at
from hearth.clock import now_ms
from hearth.errors import ApiError
from hearth.model.stream import (
    MAX_HASH_KEY,
    EntryId,
    SequenceNumber,
    Shard,
    Stream,
    hash_key_of,
    shard_id,
)
from hearth.store.streams import NewRecord, Read, Record

MAX_PUT_BYTES = 10 * 2**20
#: of one GetRecords
MAX_RECORDS, MAX_BYTES = 10_000, 10 * 2**20
#: asked of the store at once: a thousand of the largest records would be a gigabyte
_AT_ONCE = 500
_AHEAD_MS = 1000


async def put_record(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    if (minimum := given.get("SequenceNumberForOrdering")) is not None:
        await _check_order(call, given, minimum)
    (answer,) = await _put(call, given, [given])
    if "ErrorCode" in answer:
        raise ApiError(answer["ErrorCode"], 400, answer["ErrorMessage"])
    return answer


async def put_records(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    total = sum(len(one["Data"]) + len(one.get("PartitionKey", "").encode()) for one in given["Records"])
    if total > MAX_PUT_BYTES:
        raise invalid(f"Records size exceeds {MAX_PUT_BYTES // 2**20} MB limit")
    answers = await _put(call, given, given["Records"])
    return {"FailedRecordCount": sum("ErrorCode" in one for one in answers), "Records": answers}


async def _put(call: Call, given: dict[str, Any], records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Retried with a newer record of the stream until it holds: the shards may be split meanwhile."""
    account, region, name = place_of(call, given)
    known = call.backends.known_streams
    while True:
        read = await known.get(account, region, name)
        if read is None:
            raise no_stream(account, name)
        placed = [_placed(read.stream, one) for one in records]
        may = await call.backends.shard_rates.may_put(read.stream, placed)
        taken = [one for one, passes in zip(placed, may, strict=True) if passes]
        entries = await call.backends.streams.put(read, taken, now_ms=now_ms())
        if entries is not None:
            left = iter(entries)
            return [
                _put_answer(read.stream, one, next(left)) if passes else _refusal(read.stream, one.shard)
                for one, passes in zip(placed, may, strict=True)
            ]
        known.drop(account, region, name)


def _put_answer(stream: Stream, record: NewRecord, entry: EntryId) -> dict[str, Any]:
    return {
        "ShardId": record.shard.id,
        "SequenceNumber": record.shard.sequence_number(entry),
        "EncryptionType": "KMS" if stream.key_id else None,
    }


def _refusal(stream: Stream, shard: Shard) -> dict[str, str]:
    """Of one record, because of its shard's rate."""
    return {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": f"Rate exceeded for shard {shard.id} in stream {stream.name} under account {stream.account}.",
    }


def _placed(stream: Stream, given: dict[str, Any]) -> NewRecord:
    key = given.get("PartitionKey")
    if key is None:
        raise invalid("PartitionKey must be specified.")
    size = len(given["Data"]) + len(key.encode())
    if size > stream.max_record_kib * 1024:
        raise invalid(
            f"Record of {size} bytes (data and partition key) exceeds the limit of {stream.max_record_kib * 1024} "
            f"bytes of stream {stream.name} under account {stream.account}."
        )
    explicit = given.get("ExplicitHashKey")
    if explicit is None:
        hash_key = hash_key_of(key)
    elif (hash_key := int(explicit)) > MAX_HASH_KEY:
        raise invalid(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
            f"Specified value was {explicit}"
        )
    return NewRecord(stream.shard_of(hash_key), key, given["Data"])


async def _check_order(call: Call, given: dict[str, Any], minimum: str) -> None:
    """Numbers only grow with time, so a new one is greater than any that was ever given out."""
    stream = (await stream_of(call, given)).stream
    try:
        number = SequenceNumber.parse(minimum)
        ours = number.created_s >= stream.created_at_ms // 1000 and number.entry.ms <= now_ms() + _AHEAD_MS
    except ValueError:
        ours = False
    if not ours:
        raise invalid(
            f"ExclusiveMinimumSequenceNumber {minimum} used in PutRecord on stream {stream.name} under account "
            f"{stream.account} is invalid."
        )


async def get_shard_iterator(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stream, now = (await stream_of(call, given)).stream, now_ms()
    shard = shard_to_read(stream, given["ShardId"])
    entry = await entry_at(call, stream, shard, given, now)
    return {"ShardIterator": iterator_at(stream, shard, entry, now).token(call.backends.secret)}


async def get_records(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    now = now_ms()
    iterator = Iterator.read(given["ShardIterator"], call.backends.secret, now)
    account, region, name = iterator.account, iterator.region, iterator.name
    if (account, region) != (call.caller.account, call.caller.region) and "StreamARN" not in given:
        raise invalid("Invalid ShardIterator.")
    read = await call.backends.streams.get(account, region, name)
    if read is None or read.stream.created_at_ms != iterator.created_at_ms:
        raise no_stream(account, name)
    shard = shard_to_read(read.stream, shard_id(iterator.shard))
    rates = call.backends.shard_rates
    if not await rates.may_read(read.stream, shard):
        refused = _refusal(read.stream, shard)
        raise ApiError(refused["ErrorCode"], 400, refused["ErrorMessage"])
    page = await Page.read(call, read, shard, iterator.entry, given.get("Limit", MAX_RECORDS), now)
    await rates.was_read(read.stream, shard, page.records)
    answer: dict[str, Any] = {
        "Records": [shown_record(read.stream, shard, record) for record in page.records],
        "MillisBehindLatest": page.behind_ms,
    }
    if page.at_end:
        answer["ChildShards"] = shown_children(read.stream, shard)
    else:
        following = iterator_at(read.stream, shard, page.following, now)
        answer["NextShardIterator"] = following.token(call.backends.secret)
    return answer


class Page:
    """Records from one position on. following: the position after them. at_end: the shard is closed and read out."""

    @property
    def last(self) -> EntryId | None:
        return self.records[-1].entry if self.records else None

    def __init__(self, records: list[Record], following: EntryId, behind_ms: int, *, at_end: bool) -> None:
        self.records = records
        self.following = following
        self.behind_ms = behind_ms
        self.at_end = at_end

    @classmethod
    async def read(cls, call: Call, read: Read, shard: Shard, entry: EntryId, limit: int, now_ms: int) -> Page:
        """At most `limit` records and MAX_BYTES, at least one if there is one."""
        stream = read.stream
        start = max(entry, EntryId(stream.horizon_ms(now_ms), 0))
        if start > entry:
            await call.backends.streams.expire(stream, shard, now_ms)
        records: list[Record] = []
        unread: Record | None = None
        size = 0
        while unread is None and len(records) < limit:
            asked = min(_AT_ONCE, limit - len(records)) + 1  # one more tells whether, and since when, more waits
            found = await call.backends.streams.read(stream, shard, start, asked)
            for record in found:
                size += len(record.data) + len(record.partition_key)
                if len(records) == limit or (records and size > MAX_BYTES):
                    unread = record
                    break
                records.append(record)
            if len(found) < asked:
                break
            start = records[-1].entry.following()
        following = records[-1].entry.following() if records else max(entry, start)
        behind_ms = max(0, now_ms - unread.entry.ms) if unread else 0
        return cls(records, following, behind_ms, at_end=unread is None and not shard.open)


def shown_record(stream: Stream, shard: Shard, record: Record) -> dict[str, Any]:
    return {
        "SequenceNumber": shard.sequence_number(record.entry),
        "ApproximateArrivalTimestamp": record.entry.ms / 1000,
        "Data": record.data,
        "PartitionKey": record.partition_key,
        "EncryptionType": "KMS" if stream.key_id else None,
    }


def shown_children(stream: Stream, shard: Shard) -> list[dict[str, Any]]:
    return [
        {
            "ShardId": child.id,
            "ParentShards": [shard_id(one) for one in (child.parent, child.adjacent_parent) if one is not None],
            "HashKeyRange": {"StartingHashKey": str(child.start), "EndingHashKey": str(child.end)},
        }
        for child in stream.children(shard)
    ]
