"""Items of DynamoDB tables with boto3 against the whole platform: values, updates, conditions, transactions, errors."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.support.stack import PlatformStack
from tests.support.tables import ACCOUNT, REGION, a_table, refused, resource


@pytest.fixture(scope="module")
def dynamodb(stack: PlatformStack) -> Any:
    return stack.client("dynamodb")


@pytest.fixture(scope="module")
def name(dynamodb: Any) -> Iterator[str]:
    """A table with the key `pk`; items of a test have keys of their own."""
    with a_table(dynamodb) as made:
        yield made


@pytest.fixture(scope="module")
def ordered(dynamodb: Any) -> Iterator[str]:
    """A table with `pk` and the number `n` as sort key."""
    with a_table(dynamodb, "n", "N") as made:
        yield made


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


def test_bad_input_gets_the_errors_of_aws(stack: PlatformStack, dynamodb: Any, name: str, ordered: str) -> None:
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
    assert refused(stack.client("dynamodbstreams").describe_stream, StreamArn=missing) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {missing} not found",
    )
    assert refused(dynamodb.update_time_to_live, **at, TimeToLiveSpecification={"Enabled": True, "AttributeName": "t"})[
        0
    ] == ("UnknownOperationException")
