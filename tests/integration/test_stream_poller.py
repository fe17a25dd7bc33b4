"""Mappings of streams through the whole platform: in order, in batches, failures told apart, windows, lineage."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from hearth.store import Store
from hearth.store.streams import StreamTable, shard_log
from tests.integration.test_destinations import queue, received
from tests.integration.test_events import runs
from tests.support.command import hearth
from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack
from tests.support.waiting import until

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
FIRST = "shardId-000000000000"
#: tells what it got; records that say "fail" fail their batch, those that say "bad" are reported
TELL = """
import base64, json
def handler(event, context):
    got = [json.loads(base64.b64decode(one["kinesis"]["data"])) for one in event["Records"]]
    beside = {key: value for key, value in event.items() if key != "Records"}
    print(json.dumps({"ran": [one["n"] for one in got], "beside": beside}))
    if any(one.get("fail") for one in got):
        raise ValueError("told to")
    failures = [one["kinesis"]["sequenceNumber"] for one, said in zip(event["Records"], got) if said.get("bad")]
    state = event.get("state", {})
    state["sum"] = state.get("sum", 0) + sum(one["n"] for one in got)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failures], "state": state}
"""

#: tells what changed in a table
TELL_CHANGES = """
import json
def handler(event, context):
    changes = [one["dynamodb"] for one in event["Records"]]
    numbers = [int(one.get("NewImage", one["Keys"])["n"]["N"]) for one in changes]
    print(json.dumps({"ran": numbers, "first": event["Records"][0]}))
"""


@pytest.fixture
def stream(stack: PlatformStack) -> Iterator[str]:
    """A stream of one shard."""
    name = f"s-{uuid.uuid4().hex[:8]}"
    stack.client("kinesis").create_stream(StreamName=name, ShardCount=1)
    yield name
    stack.client("kinesis").delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def put(stack: PlatformStack, stream: str, records: Sequence[dict[str, Any]]) -> None:
    """key: of each record, "k" if it has none."""
    given = [{"Data": json.dumps(one).encode(), "PartitionKey": one.get("key", "k")} for one in records]
    for at in range(0, len(given), 500):
        stack.client("kinesis").put_records(StreamName=stream, Records=given[at : at + 500])


def numbered(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"n": number, **more} for number in numbers]


@pytest.fixture
def mapped(stack: PlatformStack) -> Iterator[Any]:
    """mapped(function, source ARN, ...): a mapping that is enabled; gone at the end."""
    client, made = stack.client("lambda"), []

    def make(function: str, source: str, **given: Any) -> str:
        given = {"StartingPosition": "TRIM_HORIZON"} | given
        mapping = client.create_event_source_mapping(FunctionName=function, EventSourceArn=source, **given)["UUID"]
        made.append(mapping)
        until(lambda: client.get_event_source_mapping(UUID=mapping)["State"] == "Enabled")
        return str(mapping)

    yield make
    for mapping in made:
        until(lambda mapping=mapping: client.get_event_source_mapping(UUID=mapping)["State"] in ("Enabled", "Disabled"))
        client.delete_event_source_mapping(UUID=mapping)


def batches(stack: PlatformStack, function: str, count: int) -> list[list[int]]:
    """The numbers of each run's records, once so many records in all have been given to the function."""
    ran = until(lambda: (found := runs(stack, function)) and sum(len(one["ran"]) for one in found) >= count and found)
    return [one["ran"] for one in ran]


def test_records_come_in_order_in_batches_of_the_size_that_was_asked_for(
    stack: PlatformStack, stream: str, mapped: Any
) -> None:
    function = stack.deploy(None, TELL)
    put(stack, stream, numbered(*range(25)))
    mapping = mapped(function, ARN + stream, BatchSize=10)
    assert batches(stack, function, 25) == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    put(stack, stream, numbered(25))
    assert batches(stack, function, 26)[-1] == [25]
    until(lambda: stack.client("lambda").get_event_source_mapping(UUID=mapping)["LastProcessingResult"] == "OK")


def test_filters_let_only_matching_records_through(stack: PlatformStack, stream: str, mapped: Any) -> None:
    function = stack.deploy(None, TELL)
    put(stack, stream, [*numbered(1, 2, kind="a"), *numbered(3, kind="b"), *numbered(4, kind="a")])
    pattern = json.dumps({"data": {"kind": ["b"]}})
    mapped(function, ARN + stream, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    put(stack, stream, numbered(5, kind="b"))
    assert batches(stack, function, 2) in ([[3], [5]], [[3, 5]])


def test_latest_begins_with_what_is_put_once_it_is_enabled(stack: PlatformStack, stream: str, mapped: Any) -> None:
    function = stack.deploy(None, TELL)
    put(stack, stream, numbered(1))
    mapping = mapped(function, ARN + stream, StartingPosition="LATEST")
    put(stack, stream, numbered(2))
    assert batches(stack, function, 1) == [[2]]
    client = stack.client("lambda")
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    until(lambda: client.get_event_source_mapping(UUID=mapping)["State"] == "Disabled")
    put(stack, stream, numbered(3))
    client.update_event_source_mapping(UUID=mapping, Enabled=True)
    assert batches(stack, function, 2) == [[2], [3]]


def test_a_batch_that_fails_is_halved_until_the_poison_record_is_reported(
    stack: PlatformStack, companion: CompanionServer, stream: str, mapped: Any
) -> None:
    function = stack.deploy(None, TELL)
    url, arn = queue(companion, f"failed-{stream}")
    put(stack, stream, [*numbered(*range(5)), *numbered(5, fail=True), *numbered(6, 7)])
    mapped(
        function,
        ARN + stream,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    report = json.loads(received(companion, url)["Body"])
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert report["requestContext"]["functionArn"].endswith(f":function:{function}")
    assert report["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    info = report["KinesisBatchInfo"]
    assert (info["shardId"], info["batchSize"], info["streamArn"]) == (FIRST, 1, ARN + stream)
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
    seen = batches(stack, function, 8 + 4 + 4 + 2 + 1 + 1 + 1 + 2)
    assert seen == [list(range(8)), [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [5], [6, 7]]


def test_only_what_follows_the_lowest_reported_record_runs_again(
    stack: PlatformStack, companion: CompanionServer, stream: str, mapped: Any
) -> None:
    function = stack.deploy(None, TELL)
    companion.client("s3").create_bucket(Bucket=f"failed-{stream}")
    put(stack, stream, [*numbered(0, 1), *numbered(2, bad=True), *numbered(3)])
    mapping = mapped(
        function,
        ARN + stream,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::failed-{stream}"}},
    )
    assert batches(stack, function, 8) == [[0, 1, 2, 3], [2, 3], [2, 3]]
    s3 = companion.client("s3")
    (found,) = until(lambda: s3.list_objects_v2(Bucket=f"failed-{stream}").get("Contents"))
    assert found["Key"].startswith(f"aws/lambda/{mapping}/{FIRST}/20")
    report = json.loads(s3.get_object(Bucket=f"failed-{stream}", Key=found["Key"])["Body"].read())
    assert report["responseContext"]["functionError"] is None
    assert (report["KinesisBatchInfo"]["batchSize"], len(report["payload"]["Records"])) == (2, 2)
    put(stack, stream, numbered(9))
    assert batches(stack, function, 9)[-1] == [9]


def test_tumbling_windows_carry_their_state_to_a_final_invocation(
    stack: PlatformStack, stream: str, mapped: Any
) -> None:
    function = stack.deploy(None, TELL)
    mapped(function, ARN + stream, TumblingWindowInSeconds=2, BatchSize=3)
    for number in range(12):
        put(stack, stream, numbered(number))
        time.sleep(0.3)
    total = sum(range(12))

    def finals() -> list[dict[str, Any]]:
        found = [one["beside"] for one in runs(stack, function) if one["beside"]["isFinalInvokeForWindow"]]
        return found if sum(one["state"]["sum"] for one in found) >= total else []

    ended = until(finals)
    assert sum(one["state"]["sum"] for one in ended) == total
    assert len({one["window"]["start"] for one in ended}) == len(ended)
    assert all(one["shardId"] == FIRST and one["eventSourceARN"] == ARN + stream for one in ended)
    assert not any(one["isWindowTerminatedEarly"] for one in ended)
    starts = [one["beside"]["window"]["start"] for one in runs(stack, function)]
    assert starts == sorted(starts)


def test_children_of_a_shard_begin_when_it_has_been_read_to_its_end(
    stack: PlatformStack, stream: str, mapped: Any
) -> None:
    function, kinesis = stack.deploy(None, TELL), stack.client("kinesis")
    keys = [f"key-{number}" for number in range(6)]
    put(stack, stream, [one for key in keys for one in numbered(1, 2, key=key)])
    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    put(stack, stream, [one for key in keys for one in numbered(3, 4, key=key)])
    kinesis.merge_shards(
        StreamName=stream, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002"
    )
    put(stack, stream, [one for key in keys for one in numbered(5, key=key)])
    mapped(function, ARN + stream, BatchSize=4, ParallelizationFactor=2)
    seen = [number for batch in batches(stack, function, 30) for number in batch]
    assert (set(seen[:12]), set(seen[12:24]), seen[24:]) == ({1, 2}, {3, 4}, [5] * 6)


def test_a_timestamp_to_begin_or_to_go_back_to_means_what_arrived_since(
    stack: PlatformStack, stream: str, mapped: Any
) -> None:
    function = stack.deploy(None, TELL)
    put(stack, stream, numbered(1))
    at_s = int(time.time()) + 1  # the API takes whole seconds
    until(lambda: time.time() > at_s)
    put(stack, stream, numbered(2))
    mapping = mapped(function, ARN + stream, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=at_s)
    assert batches(stack, function, 1) == [[2]]
    env = stack.environ() | stack.servers.environ()
    assert hearth("mappings", "rewind", mapping, "--to", str(at_s), env=env).returncode == 0
    assert batches(stack, function, 2) == [[2], [2]]


async def put_long_ago(stack: PlatformStack, stream: str, numbers: Sequence[int], age_s: int) -> None:
    """Into a stream without records, as if they had been put then."""
    state = Store("state", stack.servers.state_url)
    read = await StreamTable(state).get("000000000000", "us-east-1", stream)
    assert read is not None
    for number, one in enumerate(numbered(*numbers)):
        entry = f"{round((time.time() - age_s) * 1000)}-{number}"
        await state.redis.xadd(shard_log(read.stream, read.stream.shards[0]), {"k": "k", "d": json.dumps(one)}, entry)
    await state.close()


def test_records_that_are_too_old_are_reported_and_never_run(
    stack: PlatformStack, companion: CompanionServer, stream: str, mapped: Any
) -> None:
    function = stack.deploy(None, TELL)
    url, arn = queue(companion, f"aged-{stream}")
    asyncio.run(put_long_ago(stack, stream, (1, 2), age_s=7200))
    put(stack, stream, numbered(3))
    mapped(
        function,
        ARN + stream,
        MaximumRecordAgeInSeconds=3600,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    assert batches(stack, function, 1) == [[3]]
    report = json.loads(received(companion, url)["Body"])
    assert (report["requestContext"]["condition"], "responseContext" in report) == ("RecordAgeExceeded", False)
    assert (report["KinesisBatchInfo"]["batchSize"], report["KinesisBatchInfo"]["shardId"]) == (2, FIRST)


def test_a_stream_that_is_made_again_under_its_name_is_read_from_its_beginning(
    stack: PlatformStack, stream: str, mapped: Any
) -> None:
    function, kinesis = stack.deploy(None, TELL), stack.client("kinesis")
    put(stack, stream, numbered(1))
    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    put(stack, stream, numbered(2))
    mapped(function, ARN + stream)
    assert batches(stack, function, 2) == [[1], [2]]  # so the first shard is done with
    kinesis.delete_stream(StreamName=stream)
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    put(stack, stream, numbered(3))
    assert batches(stack, function, 3)[-1] == [3]


def fill_table(dynamodb: Any, name: str) -> str:
    """A table with a stream into which 1, 2 and 3 have been written; the stream's ARN."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    for number in (1, 2, 3):
        dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}, "n": {"N": str(number)}, "b": {"B": b"\0"}})
    return str(dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"])


@pytest.mark.parametrize("elsewhere", [False, True])
def test_changes_of_a_table_here_or_at_another_server_reach_the_function(
    stack: PlatformStack, companion: CompanionServer, mapped: Any, elsewhere: bool
) -> None:
    function = stack.deploy(None, TELL_CHANGES)
    dynamodb = (companion if elsewhere else stack).client("dynamodb")
    name = f"t-{uuid.uuid4().hex[:8]}"
    arn = fill_table(dynamodb, name)
    mapped(function, arn, BatchSize=2)
    assert [number for batch in batches(stack, function, 3) for number in batch] == [1, 2, 3]
    first = runs(stack, function)[0]["first"]
    assert (first["eventName"], first["eventSource"], first["eventSourceARN"]) == ("INSERT", "aws:dynamodb", arn)
    assert first["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "n": {"N": "1"}, "b": {"B": "AA=="}}
    dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}, "n": {"N": "4"}})
    assert batches(stack, function, 4)[-1] == [4]


def test_a_stream_at_another_server_is_read_where_it_is(
    stack: PlatformStack, companion: CompanionServer, mapped: Any
) -> None:
    function = stack.deploy(None, TELL)
    kinesis, name = companion.client("kinesis"), f"s-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    for number in range(5):
        kinesis.put_record(StreamName=name, Data=json.dumps({"n": number}).encode(), PartitionKey="k")
    mapping = mapped(function, arn, BatchSize=3)
    assert batches(stack, function, 5) == [[0, 1, 2], [3, 4]]
    client = stack.client("lambda")
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    until(lambda: client.get_event_source_mapping(UUID=mapping)["State"] == "Disabled")
    kinesis.put_record(StreamName=name, Data=b'{"n": 5}', PartitionKey="k")
    client.update_event_source_mapping(UUID=mapping, Enabled=True)
    assert batches(stack, function, 6)[-1] == [5]
