"""DynamoDB tables and their streams with boto3 against the whole platform."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import boto3
import pytest
import redis
from botocore.exceptions import ClientError

from hearth.store import keys
from tests.integration.test_events import runs
from tests.support.stack import PlatformStack
from tests.support.waiting import until

ACCOUNT, REGION = "000000000000", "us-east-1"
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


def create(dynamodb: Any, sort: str = "", kind: str = "S", **more: Any) -> str:
    """A table with the key `pk` and, if it is named, a sort key of a type."""
    name = f"table-{uuid.uuid4().hex[:12]}"
    attributes = [("pk", "HASH", "S"), *([(sort, "RANGE", kind)] if sort else [])]
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": one, "KeyType": part} for one, part, _ in attributes],
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": of} for one, _, of in attributes],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    return name


@pytest.fixture(scope="module")
def name(dynamodb: Any) -> Iterator[str]:
    """A table with the key `pk`; items of a test have keys of their own."""
    name = create(dynamodb)
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture(scope="module")
def ordered(dynamodb: Any) -> Iterator[str]:
    """A table with `pk` and the number `n` as sort key."""
    name = create(dynamodb, "n", "N")
    yield name
    dynamodb.delete_table(TableName=name)


def resource(stack: PlatformStack, name: str) -> Any:
    """boto3's Table, which turns items into Python's own values."""
    return boto3.resource(
        "dynamodb",
        endpoint_url=stack.endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).Table(name)


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def records(streams: Any, arn: str, kind: str = "TRIM_HORIZON", **more: Any) -> list[dict[str, Any]]:
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more)
    return list(streams.get_records(ShardIterator=at["ShardIterator"])["Records"])


def test_table_is_described_as_it_was_made(dynamodb: Any, name: str) -> None:
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableArn"] == f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
    assert (table["TableStatus"], table["KeySchema"]) == ("ACTIVE", [{"AttributeName": "pk", "KeyType": "HASH"}])
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert name in dynamodb.list_tables()["TableNames"]
    assert dynamodb.describe_table(TableName=table["TableArn"])["Table"]["TableId"] == table["TableId"]
    dynamodb.tag_resource(ResourceArn=table["TableArn"], Tags=[{"Key": "team", "Value": "a"}])
    assert dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [{"Key": "team", "Value": "a"}]


def test_every_type_comes_back_as_it_was_put(stack: PlatformStack, name: str) -> None:
    table = resource(stack, name)
    item = {
        "pk": "types",
        "text": "ü",
        "number": Decimal("-12.5"),
        "large": Decimal("1E+20"),
        "bytes": b"\x00\xff",
        "yes": True,
        "nothing": None,
        "texts": {"b", "a"},
        "numbers": {Decimal(2), Decimal(10)},
        "list": [Decimal(1), {"deep": ["x"]}],
        "empty": "",
    }
    table.put_item(Item=item)
    found = table.get_item(Key={"pk": "types"})["Item"]
    assert found["bytes"].value == item.pop("bytes")
    found.pop("bytes")
    assert found == item


def test_numbers_keep_38_digits_and_lose_needless_ones(dynamodb: Any, name: str) -> None:
    digits = "1234567890123456789012345678901234567.8"
    for given, kept in ((digits, digits), ("1.50", "1.5"), ("1e3", "1000"), ("-0.0", "0"), ("1E-5", "0.00001")):
        dynamodb.put_item(TableName=name, Item={"pk": {"S": "number"}, "n": {"N": given}})
        assert dynamodb.get_item(TableName=name, Key={"pk": {"S": "number"}})["Item"]["n"] == {"N": kept}
    for given, problem in (
        (digits + "9", "Attempting to store more than 38 significant digits in a Number"),
        ("1e126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("1e-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
        ("x", "The parameter cannot be converted to a numeric value: x"),
    ):
        item = {"pk": {"S": "number"}, "n": {"N": given}}
        assert refused(dynamodb.put_item, TableName=name, Item=item) == ("ValidationException", problem)


def test_update_sets_removes_adds_and_returns_what_was_asked_for(stack: PlatformStack, name: str) -> None:
    table = resource(stack, name)
    table.put_item(Item={"pk": "u", "n": 1, "list": ["a", "b"], "map": {"x": 1}, "tags": {"p", "q"}, "gone": 1})
    answer = table.update_item(
        Key={"pk": "u"},
        UpdateExpression="SET n = n + :one, #l[0] = :z, #m.y = if_not_exists(#m.y, :one), more = list_append(#l, :l)"
        " REMOVE gone, #l[1] ADD amount :one DELETE tags :p",
        ExpressionAttributeNames={"#l": "list", "#m": "map"},
        ExpressionAttributeValues={":one": 1, ":z": "z", ":l": ["c"], ":p": {"p"}},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    assert answer == {
        "pk": "u",
        "n": 2,
        "list": ["z"],
        "map": {"x": 1, "y": 1},
        "more": ["a", "b", "c"],
        "tags": {"q"},
        "amount": 1,
    }
    shown = table.update_item(
        Key={"pk": "u"},
        UpdateExpression="SET #m.y = :v",
        ExpressionAttributeNames={"#m": "map"},
        ExpressionAttributeValues={":v": 5},
        ReturnValues="UPDATED_OLD",
    )
    assert shown["Attributes"] == {"map": {"y": 1}}
    new = table.update_item(Key={"pk": "made by an update"}, ReturnValues="ALL_NEW")
    assert new["Attributes"] == {"pk": "made by an update"}


def test_condition_decides_and_shows_the_item_it_failed_on(dynamodb: Any, name: str) -> None:
    item = {"pk": {"S": "c"}, "state": {"S": "open"}, "n": {"N": "5"}}
    put = {"TableName": name, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
    dynamodb.put_item(**put)
    assert refused(dynamodb.put_item, **put) == ("ConditionalCheckFailedException", "The conditional request failed")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        dynamodb.put_item(**put, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert caught.value.response["Item"] == item
    values = {":o": {"S": "open"}, ":low": {"N": "1"}, ":high": {"N": "10"}, ":part": {"S": "pe"}}
    gone = dynamodb.delete_item(
        TableName=name,
        Key={"pk": {"S": "c"}},
        ConditionExpression="#s IN (:o, :part) AND n BETWEEN :low AND :high AND (contains(#s, :part) OR size(#s) > n)"
        " AND NOT begins_with(#s, :part) AND absent <> :o",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues=values,
        ReturnValues="ALL_OLD",
    )
    assert gone["Attributes"] == item
    assert "Item" not in dynamodb.get_item(TableName=name, Key={"pk": {"S": "c"}})


def test_counter_that_many_raise_at_once_misses_none(dynamodb: Any, name: str) -> None:
    def raise_it(_: int) -> None:
        dynamodb.update_item(
            TableName=name,
            Key={"pk": {"S": "counter"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(raise_it, range(200)))
    assert dynamodb.get_item(TableName=name, Key={"pk": {"S": "counter"}})["Item"]["n"] == {"N": "200"}


def test_partition_is_read_in_the_order_of_its_numbers(stack: PlatformStack, ordered: str) -> None:
    table = resource(stack, ordered)
    numbers = [Decimal(one) for one in ("-1000", "-12.3", "-12.25", "-0.001", "0", "0.02", "0.1", "3", "20", "100")]
    with table.batch_writer() as batch:
        for number in reversed(numbers):
            batch.put_item(Item={"pk": "p", "n": number, "even": number % 2 == 0})
        batch.put_item(Item={"pk": "other", "n": 1})

    def found(condition: str, values: dict[str, Any] | None = None, **more: Any) -> list[Decimal]:
        answer = table.query(
            KeyConditionExpression=f"pk = :p{condition}",
            ExpressionAttributeValues={":p": "p"} | {f":{key}": Decimal(one) for key, one in (values or {}).items()},
            **more,
        )
        return [item["n"] for item in answer["Items"]]

    assert found("") == numbers
    assert found("", ScanIndexForward=False) == numbers[::-1]
    assert found(" AND n > :a", {"a": 0}) == numbers[5:]
    assert found(" AND n <= :a", {"a": "-12.25"}) == numbers[:3]
    assert found(" AND n BETWEEN :a AND :b", {"a": "-12.3", "b": "0.02"}) == numbers[1:6]
    assert found(" AND n = :a", {"a": "0.1"}) == [Decimal("0.1")]
    paged, start = [], {}
    while True:
        page = table.query(
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": "p", ":no": False},
            FilterExpression="even = :no",
            ProjectionExpression="n",
            Limit=3,
            **start,
        )
        paged += [item["n"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        assert page["ScannedCount"] == 3
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert paged == [number for number in numbers if number % 2 != 0]


def test_text_keys_begin_with_a_prefix(dynamodb: Any) -> None:
    name = create(dynamodb, "sk")
    for key in ("a#1", "a#2", "a", "b#1", "ä"):
        dynamodb.put_item(TableName=name, Item={"pk": {"S": "p"}, "sk": {"S": key}})
    answer = dynamodb.query(
        TableName=name,
        KeyConditionExpression="pk = :p AND begins_with(sk, :s)",
        ExpressionAttributeValues={":p": {"S": "p"}, ":s": {"S": "a#"}},
        Select="COUNT",
    )
    assert (answer["Count"], "Items" in answer) == (2, False)
    whole = dynamodb.scan(TableName=name)["Items"]
    assert [item["sk"]["S"] for item in whole] == ["a", "a#1", "a#2", "b#1", "ä"]
    dynamodb.delete_table(TableName=name)


def test_scan_sees_every_item_once_in_pages_and_in_segments(dynamodb: Any) -> None:
    name = create(dynamodb)
    filler = "x" * 20_000
    for start in range(0, 75, 25):
        puts = [
            {"PutRequest": {"Item": {"pk": {"S": f"{number}"}, "filler": {"S": filler}}}}
            for number in range(start, start + 25)
        ]
        assert dynamodb.batch_write_item(RequestItems={name: puts})["UnprocessedItems"] == {}
    pages = list(dynamodb.get_paginator("scan").paginate(TableName=name))
    assert len(pages) == 2  # a megabyte a page
    seen = [item["pk"]["S"] for page in pages for item in page["Items"]]
    assert sorted(seen, key=int) == [str(number) for number in range(75)]
    parts = [
        [item["pk"]["S"] for item in dynamodb.scan(TableName=name, Segment=number, TotalSegments=4)["Items"]]
        for number in range(4)
    ]
    assert sorted((one for part in parts for one in part), key=int) == sorted(seen, key=int)
    assert all(parts)
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["ItemCount"] == 75
    assert table["TableSizeBytes"] > 75 * 20_000
    dynamodb.delete_table(TableName=name)


def test_transaction_is_done_wholly_or_not_at_all(dynamodb: Any, name: str, ordered: str) -> None:
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "from"}, "n": {"N": "10"}})

    def move(amount: str) -> None:
        value = {":a": {"N": amount}}
        dynamodb.transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": name,
                        "Key": {"pk": {"S": "from"}},
                        "UpdateExpression": "SET n = n - :a",
                        "ConditionExpression": "n >= :a",
                        "ExpressionAttributeValues": value,
                    }
                },
                {"Put": {"TableName": ordered, "Item": {"pk": {"S": "moved"}, "n": {"N": amount}}}},
            ]
        )

    move("7")
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        move("4")
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "ConditionalCheckFailed",
        "None",
    ]
    answer = dynamodb.batch_get_item(
        RequestItems={
            name: {"Keys": [{"pk": {"S": "from"}}, {"pk": {"S": "nobody"}}]},
            ordered: {"Keys": [{"pk": {"S": "moved"}, "n": {"N": one}} for one in ("7", "4")]},
        }
    )["Responses"]
    assert [item["n"]["N"] for item in answer[name]] == ["3"]
    assert [item["n"]["N"] for item in answer[ordered]] == ["7"]
    once = {
        "ClientRequestToken": uuid.uuid4().hex,
        "TransactItems": [
            {
                "Update": {
                    "TableName": name,
                    "Key": {"pk": {"S": "from"}},
                    "UpdateExpression": "ADD n :a",
                    "ExpressionAttributeValues": {":a": {"N": "100"}},
                }
            }
        ],
    }
    for _ in range(2):
        dynamodb.transact_write_items(**once)
    other = once | {"TransactItems": [{"Delete": {"TableName": name, "Key": {"pk": {"S": "from"}}}}]}
    assert refused(dynamodb.transact_write_items, **other)[0] == "IdempotentParameterMismatchException"
    both = dynamodb.transact_get_items(
        TransactItems=[
            {"Get": {"TableName": name, "Key": {"pk": {"S": "from"}}, "ProjectionExpression": "n"}},
            {"Get": {"TableName": name, "Key": {"pk": {"S": "nobody"}}}},
        ]
    )["Responses"]
    assert both == [{"Item": {"n": {"N": "103"}}}, {}]


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


def test_table_that_comes_again_is_empty(dynamodb: Any) -> None:
    name = create(dynamodb)
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "k"}})
    again = {
        "TableName": name,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        "DeletionProtectionEnabled": True,
    }
    assert refused(dynamodb.create_table, **again) == ("ResourceInUseException", f"Table already exists: {name}")
    dynamodb.delete_table(TableName=name)
    missing = ("ResourceNotFoundException", "Requested resource not found")
    assert refused(dynamodb.put_item, TableName=name, Item={"pk": {"S": "k"}}) == missing
    assert refused(dynamodb.get_item, TableName=name, Key={"pk": {"S": "k"}}) == missing
    assert refused(dynamodb.describe_table, TableName=name)[1] == f"{missing[1]}: Table: {name} not found"
    time.sleep(0.01)
    dynamodb.create_table(**again)
    assert dynamodb.scan(TableName=name)["Count"] == 0
    assert refused(dynamodb.delete_table, TableName=name)[0] == "ValidationException"
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=name)


def test_bad_input_gets_the_errors_of_aws(dynamodb: Any, streams: Any, name: str, ordered: str) -> None:
    wrong = "One or more parameter values were invalid: "
    key, at = {"pk": {"S": "bad"}}, {"TableName": name}
    no_match = "The provided key element does not match the schema"

    def problem(call: Any, **parameters: Any) -> str:
        code, message = refused(call, **parameters)
        assert code == "ValidationException"
        return message

    put, get, update, query = dynamodb.put_item, dynamodb.get_item, dynamodb.update_item, dynamodb.query
    assert problem(put, **at, Item={"x": {"S": "1"}}) == f"{wrong}Missing the key pk in the item"
    assert problem(put, **at, Item={"pk": {"N": "1"}}) == f"{wrong}Type mismatch for key pk expected: S actual: N"
    assert "cannot contain an empty string value. Key: pk" in problem(put, **at, Item={"pk": {"S": ""}})
    assert problem(put, **at, Item=key | {"s": {"SS": []}}) == f"{wrong}An string set  may not be empty"
    assert "contains duplicates" in problem(put, **at, Item=key | {"s": {"SS": ["a", "a"]}})
    large = problem(put, **at, Item=key | {"big": {"S": "x" * 410_000}})
    assert large == "Item size has exceeded the maximum allowed size"
    assert problem(get, **at, Key={"pk": {"N": "1"}}) == no_match
    batch = {name: [{"PutRequest": {"Item": {"x": {"S": "1"}}}}]}
    assert problem(dynamodb.batch_write_item, RequestItems=batch) == no_match
    assert problem(get, TableName=ordered, Key=key) == no_match
    assert problem(update, **at, Key=key, UpdateExpression="SET a = = :v").startswith(
        'Invalid UpdateExpression: Syntax error; token: "=", near: "'
    )
    assert problem(update, **at, Key=key, UpdateExpression="SET name = a") == (
        "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: name"
    )
    one = {"ExpressionAttributeValues": {":v": {"N": "1"}}}
    assert problem(update, **at, Key=key, UpdateExpression="SET a = :w", **one) == (
        "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :w"
    )
    assert problem(update, **at, Key=key, UpdateExpression="REMOVE a", **one) == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}"
    )
    assert problem(update, **at, Key=key, UpdateExpression="SET pk = :v", **one) == (
        f"{wrong}Cannot update attribute pk. This attribute is part of the key"
    )
    assert problem(update, **at, Key=key, UpdateExpression="SET a = b") == (
        "The provided expression refers to an attribute that does not exist in the item"
    )
    assert problem(update, **at, Key=key, UpdateExpression="SET a.b = :v, a = :v", **one) == (
        "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these "
        "paths; path one: [a, b], path two: [a]"
    )
    assert problem(query, TableName=ordered, KeyConditionExpression="n = :v", **one) == (
        "Query condition missed key schema element: pk"
    )
    missing = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/none-such/stream/2026-01-01T00:00:00.000"
    assert refused(streams.describe_stream, StreamArn=missing) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {missing} not found",
    )
    assert refused(dynamodb.update_time_to_live, **at, TimeToLiveSpecification={"Enabled": True, "AttributeName": "t"})[
        0
    ] == ("UnknownOperationException")
