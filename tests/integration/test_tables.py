"""DynamoDB tables with boto3 against the whole platform: made, described, deleted, and what bad input is answered."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.stack import PlatformStack
from tests.support.tables import ACCOUNT, REGION, a_table, create, refused


@pytest.fixture(scope="module")
def dynamodb(stack: PlatformStack) -> Any:
    return stack.client("dynamodb")


def test_table_is_described_as_it_was_made(dynamodb: Any) -> None:
    with a_table(dynamodb) as name:
        found = dynamodb.describe_table(TableName=name)["Table"]
        assert found["TableArn"] == f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
        assert (found["TableStatus"], found["KeySchema"]) == ("ACTIVE", [{"AttributeName": "pk", "KeyType": "HASH"}])
        assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert name in dynamodb.list_tables()["TableNames"]
        assert dynamodb.describe_table(TableName=found["TableArn"])["Table"]["TableId"] == found["TableId"]
        dynamodb.tag_resource(ResourceArn=found["TableArn"], Tags=[{"Key": "team", "Value": "a"}])
        assert dynamodb.list_tags_of_resource(ResourceArn=found["TableArn"])["Tags"] == [{"Key": "team", "Value": "a"}]


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
