"""Streams of DynamoDB tables with boto3 against the whole platform, and a function that follows one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from hearth.store import keys
from tests.integration.test_events import runs
from tests.support.stack import PlatformStack
from tests.support.tables import ACCOUNT, REGION, create, refused
from tests.support.waiting import until

TELL = """
import json
def handler(event, context):
    print(json.dumps({"ran": event["Records"]}))
"""
BOTH = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.fixture(scope="module")
def dynamodb(stack: PlatformStack) -> Any:
    return stack.client("dynamodb")


@pytest.fixture(scope="module")
def streams(stack: PlatformStack) -> Any:
    return stack.client("dynamodbstreams")


def records(streams: Any, arn: str, kind: str = "TRIM_HORIZON", **more: Any) -> list[dict[str, Any]]:
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more)
    return list(streams.get_records(ShardIterator=at["ShardIterator"])["Records"])


def test_each_effective_change_leaves_one_record_with_both_images(dynamodb: Any, streams: Any) -> None:
    name = create(dynamodb, StreamSpecification=BOTH)
    table = dynamodb.describe_table(TableName=name)["Table"]
    arn = table["LatestStreamArn"]
    assert arn == f"{table['TableArn']}/stream/{table['LatestStreamLabel']}"
    first = {"pk": {"S": "Fred"}}
    second = first | {"blob": {"B": b"\x00\x01"}, "n": {"N": "1"}}
    dynamodb.put_item(TableName=name, Item=first)
    dynamodb.put_item(TableName=name, Item=first)  # changes nothing
    dynamodb.put_item(TableName=name, Item=second)
    dynamodb.update_item(
        TableName=name,
        Key=first,
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": "1.0"}},
    )  # neither does this
    dynamodb.delete_item(TableName=name, Key=first)
    dynamodb.delete_item(TableName=name, Key=first)

    found = records(streams, arn)
    assert [record["eventName"] for record in found] == ["INSERT", "MODIFY", "REMOVE"]
    inserted, modified, removed = (record["dynamodb"] for record in found)
    assert (inserted["Keys"], inserted["NewImage"], "OldImage" in inserted) == (first, first, False)
    assert (modified["OldImage"], modified["NewImage"]) == (first, second)
    assert (removed["OldImage"], "NewImage" in removed) == (second, False)
    assert inserted["SizeBytes"] == 12
    numbers = [record["dynamodb"]["SequenceNumber"] for record in found]
    assert numbers == sorted(numbers, key=int)
    assert all(21 <= len(number) <= 40 for number in numbers)
    assert found[0] | {"dynamodb": {}, "eventID": ""} == {
        "eventID": "",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {},
    }
    assert len({record["eventID"] for record in found}) == 3
    assert inserted["StreamViewType"] == "NEW_AND_OLD_IMAGES"

    after = records(streams, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[0])
    assert [record["eventName"] for record in after] == ["MODIFY", "REMOVE"]
    assert len(records(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=numbers[1])) == 2
    assert records(streams, arn, "LATEST") == []
    dynamodb.delete_table(TableName=name)


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", [set(), set(), set()]),
        ("NEW_IMAGE", [{"NewImage"}, {"NewImage"}, set()]),
        ("OLD_IMAGE", [set(), {"OldImage"}, {"OldImage"}]),
    ],
)
def test_view_decides_which_images_a_record_has(dynamodb: Any, streams: Any, view: str, images: list[set[str]]) -> None:
    name = create(dynamodb, StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
    key = {"pk": {"S": "k"}}
    for number in ("1", "2"):
        dynamodb.put_item(TableName=name, Item=key | {"n": {"N": number}})
    dynamodb.delete_item(TableName=name, Key=key)
    found = records(streams, dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"])
    assert [record["dynamodb"].keys() & {"NewImage", "OldImage"} for record in found] == images
    dynamodb.delete_table(TableName=name)


def test_disabled_stream_is_read_to_its_end_and_a_new_one_begins(dynamodb: Any, streams: Any) -> None:
    name = create(dynamodb, StreamSpecification=BOTH)
    first = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    key = {"pk": {"S": "k"}}
    dynamodb.put_item(TableName=name, Item=key)
    code, message = refused(dynamodb.update_table, TableName=name, StreamSpecification=BOTH)
    assert (code, message) == ("ValidationException", f"Table already has an enabled stream: {first}")
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    dynamodb.delete_item(TableName=name, Key=key)
    dynamodb.update_table(TableName=name, StreamSpecification=BOTH)
    dynamodb.put_item(TableName=name, Item=key)
    second = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    assert [record["eventName"] for record in records(streams, second)] == ["INSERT"]

    described = streams.describe_stream(StreamArn=first)["StreamDescription"]
    (shard,) = described["Shards"]
    assert described["StreamStatus"] == "DISABLED"
    numbers = shard["SequenceNumberRange"]
    at = streams.get_shard_iterator(StreamArn=first, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    page = streams.get_records(ShardIterator=at["ShardIterator"])
    (record,) = page["Records"]
    number = int(record["dynamodb"]["SequenceNumber"])
    assert int(numbers["StartingSequenceNumber"]) <= number <= int(numbers["EndingSequenceNumber"])
    assert "NextShardIterator" not in page

    dynamodb.delete_table(TableName=name)
    listed = [one["StreamArn"] for one in streams.list_streams(TableName=name)["Streams"]]
    assert listed == [first, second]
    assert [record["eventName"] for record in records(streams, second)] == ["INSERT"]


def test_transaction_and_batch_leave_a_record_for_each_item(dynamodb: Any, streams: Any) -> None:
    name = create(dynamodb, StreamSpecification=BOTH)
    items = [{"pk": {"S": f"{number}"}} for number in range(3)]
    dynamodb.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": item}} for item in items]})
    deletes = [{"Delete": {"TableName": name, "Key": item}} for item in items[:2]]
    check = {"ConditionCheck": {"TableName": name, "Key": items[2], "ConditionExpression": "attribute_exists(pk)"}}
    dynamodb.transact_write_items(TransactItems=[*deletes, check])
    found = records(streams, dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"])
    assert [(one["eventName"], one["dynamodb"]["Keys"]["pk"]["S"]) for one in found] == [
        ("INSERT", "0"),
        ("INSERT", "1"),
        ("INSERT", "2"),
        ("REMOVE", "0"),
        ("REMOVE", "1"),
    ]
    dynamodb.delete_table(TableName=name)


def test_any_writer_appends_records_in_a_transaction_of_its_own(
    dynamodb: Any, streams: Any, stack: PlatformStack
) -> None:
    """As docs/tables.md says."""
    name = create(dynamodb, StreamSpecification=BOTH)
    table = dynamodb.describe_table(TableName=name)["Table"]
    state = redis.Redis.from_url(stack.servers.environ()["HEARTH_STATE_URL"])
    own = f"somebody:else:{name}"
    with state.pipeline(transaction=True) as writer:
        writer.set(own, "42")
        writer.xadd(
            keys.changes(ACCOUNT, REGION, name, table["LatestStreamLabel"]),
            {"e": "MODIFY", "k": '{"pk":{"S":"k"}}', "n": '{"pk":{"S":"k"},"v":{"N":"42"}}', "o": '{"pk":{"S":"k"}}'},
        )
        writer.execute()
    (record,) = records(streams, table["LatestStreamArn"])
    assert (record["eventName"], record["dynamodb"]["NewImage"]["v"]) == ("MODIFY", {"N": "42"})
    state.delete(own)
    state.close()
    dynamodb.delete_table(TableName=name)


def test_function_follows_a_table(stack: PlatformStack, dynamodb: Any, streams: Any) -> None:
    name = create(dynamodb, StreamSpecification=BOTH)
    arn = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    function, client = stack.deploy(None, TELL), stack.client("lambda")
    pattern = json.dumps({"dynamodb": {"NewImage": {"n": {"N": ["1", "2"]}}}})
    mapping = client.create_event_source_mapping(
        FunctionName=function,
        EventSourceArn=arn,
        StartingPosition="TRIM_HORIZON",
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
    )["UUID"]
    for number in range(4):
        item = {"pk": {"S": "k"}, "n": {"N": f"{number}"}, "blob": {"B": b"\xff"}}
        dynamodb.put_item(TableName=name, Item=item)
    told = until(lambda: (found := [one for run in runs(stack, function) for one in run["ran"]])[1:] and found)

    first, second = told
    assert (first["eventName"], first["eventSourceARN"]) == ("MODIFY", arn)
    assert first["dynamodb"]["NewImage"] == {"pk": {"S": "k"}, "n": {"N": "1"}, "blob": {"B": "/w=="}}
    assert isinstance(first["dynamodb"]["ApproximateCreationDateTime"], float)
    assert second["dynamodb"]["OldImage"]["n"] == {"N": "1"}
    expected = [record["dynamodb"]["SequenceNumber"] for record in records(streams, arn)[1:3]]
    assert [one["dynamodb"]["SequenceNumber"] for one in told] == expected
    until(lambda: client.get_event_source_mapping(UUID=mapping)["State"] == "Enabled")
    client.delete_event_source_mapping(UUID=mapping)
    dynamodb.delete_table(TableName=name)
