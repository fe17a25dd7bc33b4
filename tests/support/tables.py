"""Tables for tests: made on a running platform, asked with boto3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.stack import PlatformStack

ACCOUNT, REGION = "000000000000", "us-east-1"


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


@contextmanager
def a_table(dynamodb: Any, sort: str = "", kind: str = "S") -> Iterator[str]:
    """`create`, and deleted at the end."""
    name = create(dynamodb, sort, kind)
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
    """Code and message of the error that the call must end in."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
