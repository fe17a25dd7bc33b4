"""Many items of DynamoDB tables with boto3 against the whole platform: partitions in order, and scans."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.stack import PlatformStack
from tests.support.tables import a_table, create, resource


@pytest.fixture(scope="module")
def dynamodb(stack: PlatformStack) -> Any:
    return stack.client("dynamodb")


@pytest.fixture(scope="module")
def ordered(dynamodb: Any) -> Iterator[str]:
    """A table with `pk` and the number `n` as sort key."""
    with a_table(dynamodb, "n", "N") as made:
        yield made


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
