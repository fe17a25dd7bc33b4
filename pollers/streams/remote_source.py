"""Streams of other servers as sources, asked through botocore: Kinesis and DynamoDB Streams.

A position is TRIM, TIME:ms, AT:number or AFTER:number. What was read last gives the iterator for what follows; when it
has expired, or another poller goes on, a new one is made from the position.
"""

from __future__ import annotations

import asyncio
import base64
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from hearth.aws_clients import AwsCallFailed, AwsClients
from hearth.clock import Deadline, now_ms
from pollers.streams.event import kinesis_head, kinesis_tail, table_head
from pollers.streams.source import (
    AT_TIMESTAMP,
    LATEST,
    Page,
    SourceGone,
    SourceRecord,
    SourceShard,
)

_CALL_S = 20.0
#: iterators live for five minutes (Kinesis) or fifteen
_ITERATOR_S = 240.0
#: clocks of others may differ by so much
_SKEW_MS = 1000
_HOUR_MS = 3_600_000
_RETENTION_BELIEVED_S = 300.0
_GONE = ("ResourceNotFoundException",)
_EXPIRED = ("ExpiredIteratorException",)
_TRIMMED = ("TrimmedDataAccessException",)


class RemoteSource(ABC):
    """What the two have in common. service: botocore's name of it."""

    service: str
    batch_member: str
    whole_seconds: bool
    #: the most records of one answer, and how often an idle shard is asked
    most_records: int
    pace_s: float

    def __init__(self, aws: AwsClients, arn: str) -> None:
        self._aws = aws
        self._arn = arn
        _, _, _, self._region, self._account, _ = arn.split(":", 5)
        #: shard -> (position, iterator, when it was given out)
        self._iterators: dict[str, tuple[str, str, float]] = {}

    async def incarnation(self) -> str:
        return ""

    async def read(self, shard_id: str, position: str, count: int, most_s: float = 0.0) -> Page:
        page = await self._read(shard_id, position, count)
        if not page.records and not page.at_end:
            await asyncio.sleep(min(most_s, self.pace_s))
        return page

    async def _read(self, shard_id: str, position: str, count: int) -> Page:
        iterator = await self._iterator(shard_id, position)
        if not iterator:
            return Page((), position, at_end=True, at_tip=True)
        limit = min(count, self.most_records)
        try:
            answer = await self._call("GetRecords", ShardIterator=iterator, Limit=limit)
        except AwsCallFailed as exc:
            self._iterators.pop(shard_id, None)
            if exc.code in _EXPIRED:
                return Page((), position)
            if exc.code in _TRIMMED:
                return Page((), "TRIM")
            raise
        since_ms = int(position[6:]) if position.startswith("SINCE:") else 0
        found = [self._record(shard_id, one) for one in answer["Records"]]
        records = [one for one in found if one.arrival_ms >= since_ms - since_ms % 1000]
        following = f"AFTER:{found[-1].sequence_number}" if records else position
        # "" stands for the end of the shard
        self._iterators[shard_id] = (following, answer.get("NextShardIterator") or "", time.monotonic())
        at_tip = not found and not answer.get("MillisBehindLatest")
        return Page(records, following, at_end=not found and not answer.get("NextShardIterator"), at_tip=at_tip)

    async def clock_ms(self) -> int:
        return now_ms() - _SKEW_MS

    def at(self, record: SourceRecord) -> str:
        return f"AT:{record.sequence_number}"

    def at_sequence(self, number: str) -> str:
        return f"AT:{int(number)}"

    async def _iterator(self, shard_id: str, position: str) -> str:
        """ "": the shard has been read to its end."""
        known = self._iterators.get(shard_id)
        if known and known[0] == position and time.monotonic() - known[2] < _ITERATOR_S:
            return known[1]
        try:
            return await self._new_iterator(shard_id, position)
        except AwsCallFailed as exc:
            if exc.code in _TRIMMED:
                return await self._new_iterator(shard_id, "TRIM")
            raise

    async def _new_iterator(self, shard_id: str, position: str) -> str:
        kind, _, value = position.partition(":")
        given: dict[str, Any] = self._named(shard_id)
        match kind:
            case "TIME":
                given |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": int(value) / 1000}
            case "AT" | "AFTER":
                given |= {"ShardIteratorType": f"{kind}_SEQUENCE_NUMBER", self._number_member: value}
            case _:
                given |= {"ShardIteratorType": "TRIM_HORIZON"}
        return (await self._call("GetShardIterator", **given)).get("ShardIterator") or ""

    async def _call(self, operation: str, **given: Any) -> dict[str, Any]:
        try:
            return await self._aws.call_elsewhere(
                self.service,
                operation,
                account=self._account,
                region=self._region,
                deadline=Deadline.after(_CALL_S),
                **given,
            )
        except AwsCallFailed as exc:
            if exc.code in _GONE:
                raise SourceGone(exc.message) from exc
            raise

    _number_member: str

    @abstractmethod
    def _named(self, shard_id: str) -> dict[str, Any]:
        """The members of a request that say which shard is meant."""

    @abstractmethod
    def _record(self, shard_id: str, given: Mapping[str, Any]) -> SourceRecord:
        """given: a record as GetRecords gives it."""


class RemoteKinesis(RemoteSource):
    service, batch_member, whole_seconds = "kinesis", "KinesisBatchInfo", False
    most_records, pace_s = 10_000, 1.0
    _number_member = "StartingSequenceNumber"

    def __init__(self, aws: AwsClients, arn: str) -> None:
        """arn: of the stream, or of a consumer of it, which is read as the stream is."""
        super().__init__(aws, arn)
        self._name = arn.split("/")[1]
        self._region_json, self._arn_json = orjson.dumps(self._region), orjson.dumps(arn)
        self._retention: tuple[int, float] | None = None

    async def shards(self) -> list[SourceShard]:
        found, given = [], {"StreamName": self._name}
        while True:
            answer = await self._call("ListShards", **given)
            found += answer["Shards"]
            if not answer.get("NextToken"):
                return [_shard_of(one) for one in found]
            given = {"NextToken": answer["NextToken"]}

    async def start(self, shard_id: str, kind: str, at_ms: int = 0) -> str:
        if kind == LATEST:
            return f"TIME:{now_ms()}"
        return f"TIME:{at_ms}" if kind == AT_TIMESTAMP else "TRIM"

    def tail(self, role: str) -> bytes:
        return kinesis_tail(role)

    async def retention_ms(self) -> int:
        if self._retention is None or time.monotonic() - self._retention[1] > _RETENTION_BELIEVED_S:
            answer = await self._call("DescribeStreamSummary", StreamName=self._name)
            hours = answer["StreamDescriptionSummary"]["RetentionPeriodHours"]
            self._retention = hours * _HOUR_MS, time.monotonic()
        return self._retention[0]

    def _named(self, shard_id: str) -> dict[str, Any]:
        return {"StreamName": self._name, "ShardId": shard_id}

    def _record(self, shard_id: str, given: Mapping[str, Any]) -> SourceRecord:
        number, key = given["SequenceNumber"], given["PartitionKey"]
        arrival_ms = round(given["ApproximateArrivalTimestamp"].timestamp() * 1000)
        head = kinesis_head(key, number, given["Data"], arrival_ms, shard_id, self._region_json, self._arn_json)
        return SourceRecord(int(number), number, key.encode(), arrival_ms, head)


class RemoteTable(RemoteSource):
    """The stream of a DynamoDB table. It has no iterators by time: what is older is read and passed over."""

    service, batch_member, whole_seconds = "dynamodbstreams", "DDBStreamBatchInfo", True
    most_records, pace_s = 1000, 0.25
    _number_member = "SequenceNumber"

    async def shards(self) -> list[SourceShard]:
        found: list[dict[str, Any]] = []
        given: dict[str, Any] = {"StreamArn": self._arn}
        while True:
            described = (await self._call("DescribeStream", **given))["StreamDescription"]
            found += described.get("Shards", [])
            if not described.get("LastEvaluatedShardId"):
                return [_shard_of(one) for one in found]
            given["ExclusiveStartShardId"] = described["LastEvaluatedShardId"]

    async def start(self, shard_id: str, kind: str, at_ms: int = 0) -> str:
        if kind == LATEST:
            return f"SINCE:{now_ms()}"
        return f"SINCE:{at_ms}" if kind == AT_TIMESTAMP else "TRIM"

    def tail(self, role: str) -> bytes:
        return b"}"

    async def retention_ms(self) -> int:
        return 24 * _HOUR_MS

    def _named(self, shard_id: str) -> dict[str, Any]:
        return {"StreamArn": self._arn, "ShardId": shard_id}

    def _record(self, shard_id: str, given: Mapping[str, Any]) -> SourceRecord:
        change = given["dynamodb"]
        number = change["SequenceNumber"]
        created = change.get("ApproximateCreationDateTime")
        arrival_ms = round(created.timestamp() * 1000) if created else now_ms()
        key = orjson.dumps(_plain(change["Keys"]), option=orjson.OPT_SORT_KEYS)
        return SourceRecord(int(number), number, key, arrival_ms, table_head(_plain(given), self._arn))


def _shard_of(given: Mapping[str, Any]) -> SourceShard:
    parents = tuple(given[name] for name in ("ParentShardId", "AdjacentParentShardId") if given.get(name))
    return SourceShard(given["ShardId"], parents, not given["SequenceNumberRange"].get("EndingSequenceNumber"))


def _plain(value: Any) -> Any:
    """As JSON has it on the wire: times as epoch seconds, bytes as base64."""
    match value:
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case set() | frozenset():
            return sorted(_plain(one) for one in value)
        case datetime():
            return value.timestamp()
        case bytes():
            return base64.b64encode(value).decode()
    return value
