"""The Kinesis API of a running gateway, through botocore, for `hearth streams`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.session
from botocore.config import Config

from hearth.cli.client import ApiFailed, answer_of
from hearth.cli.endpoint import Access

#: AWS's bounds of one PutRecords, with room for its keys
_MOST_RECORDS = 500
_MOST_BYTES = 4 * 2**20
#: between two looks at shards that have nothing new
_LOOK_S = 0.3
#: how often new shards are looked for
_SHARDS_S = 3.0


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading begins: TRIM_HORIZON, LATEST, or AT_TIMESTAMP with a time."""

    kind: str
    at: datetime | None = None

    def parameters(self) -> dict[str, Any]:
        return {"ShardIteratorType": self.kind} | ({"Timestamp": self.at} if self.at else {})


class StreamClient:
    """Every method raises ApiFailed."""

    def __init__(self, found: Access) -> None:
        self._access = found
        self._kinesis = botocore.session.get_session().create_client(
            "kinesis",
            endpoint_url=found.endpoint,
            region_name=found.region,
            aws_access_key_id=found.key,
            aws_secret_access_key=found.secret,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def streams(self) -> list[dict[str, Any]]:
        """A summary of each, by name."""
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("list_streams", **token)
            names += page["StreamNames"]
            if not page.get("NextToken"):
                return [self.summary(name) for name in names]
            token = {"NextToken": page["NextToken"]}

    def summary(self, name: str) -> dict[str, Any]:
        return dict(self._call("describe_stream_summary", StreamName=name)["StreamDescriptionSummary"])

    def shards(self, name: str) -> list[dict[str, Any]]:
        """Closed ones too, while they hold records; in the order of their ids."""
        found: list[dict[str, Any]] = []
        given: dict[str, Any] = {"StreamName": name}
        while True:
            page = self._call("list_shards", **given)
            found += page["Shards"]
            if not page.get("NextToken"):
                return found
            given = {"NextToken": page["NextToken"]}

    def create(self, name: str, shards: int) -> None:
        """Nothing happens if it exists."""
        try:
            self._call("create_stream", StreamName=name, ShardCount=shards)
        except ApiFailed as exc:
            if exc.code != "ResourceInUseException":
                raise

    def put(self, name: str, records: Iterable[tuple[str, bytes]]) -> Iterator[dict[str, Any]]:
        """Partition key and data of each -> ShardId and SequenceNumber, in order; stored when it is yielded."""
        batch: list[dict[str, Any]] = []
        size = 0
        for key, data in records:
            if batch and (len(batch) == _MOST_RECORDS or size + len(data) > _MOST_BYTES):
                yield from self._put(name, batch)
                batch, size = [], 0
            batch.append({"PartitionKey": key, "Data": data})
            size += len(data) + len(key)
        if batch:
            yield from self._put(name, batch)

    def tail(
        self, name: str, position: Position, *, shard: str | None, follow: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """(shard's id, record) as they come, in order within a shard.

        follow: without end, and over splits and merges; else until every shard's present end.
        """
        iterators = self._iterators(name, position, shard)
        known, looked_s = set(iterators), time.monotonic()
        while iterators:
            found = False
            for shard_id in list(iterators):
                page = self._call("get_records", ShardIterator=iterators[shard_id])
                for record in page["Records"]:
                    found = True
                    yield shard_id, record
                after = page.get("NextShardIterator")
                if not after or not (follow or page["Records"] or page.get("MillisBehindLatest")):
                    del iterators[shard_id]
                else:
                    iterators[shard_id] = after
            if follow and shard is None and (not iterators or time.monotonic() - looked_s > _SHARDS_S):
                looked_s = time.monotonic()
                born = {one["ShardId"] for one in self.shards(name)} - known
                known |= born
                # what a new shard holds came after what was read
                iterators |= {one: self._iterator(name, one, Position("TRIM_HORIZON")) for one in sorted(born)}
            if follow and not found:
                time.sleep(_LOOK_S)

    def _iterators(self, name: str, position: Position, shard: str | None) -> dict[str, str]:
        ids = [shard] if shard else [one["ShardId"] for one in self.shards(name)]
        return {one: self._iterator(name, one, position) for one in ids}

    def _iterator(self, name: str, shard: str, position: Position) -> str:
        given = position.parameters()
        return str(self._call("get_shard_iterator", StreamName=name, ShardId=shard, **given)["ShardIterator"])

    def _put(self, name: str, batch: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        answer = self._call("put_records", StreamName=name, Records=batch)
        for one in answer["Records"]:
            if one.get("ErrorCode"):
                raise ApiFailed(f"{one['ErrorCode']}: {one.get('ErrorMessage', '')}", one["ErrorCode"])
            yield one

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return dict(answer_of(self._access, getattr(self._kinesis, operation), **parameters))
