"""What policies see of calls about streams and tables."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.kinesis_api.positions import Iterator
from gateway.policy_subjects import subjects
from hearth.model.stream import FIRST

TABLE = "arn:aws:dynamodb:r:1:table"
STREAM = "arn:aws:kinesis:r:1:stream/s"


@pytest.mark.parametrize(
    ("service", "operation", "given", "seen"),
    [
        ("dynamodb", "GetItem", {"TableName": "t"}, [("dynamodb:GetItem", f"{TABLE}/t")]),
        ("dynamodb", "GetItem", {"TableName": f"{TABLE}/t"}, [("dynamodb:GetItem", f"{TABLE}/t")]),
        ("dynamodb", "ListTables", {}, [("dynamodb:ListTables", "*")]),
        ("dynamodb", "TagResource", {"ResourceArn": f"{TABLE}/t"}, [("dynamodb:TagResource", f"{TABLE}/t")]),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {"a": {}, "b": {}}},
            [("dynamodb:BatchGetItem", f"{TABLE}/a"), ("dynamodb:BatchGetItem", f"{TABLE}/b")],
        ),
        (
            "dynamodb",
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "a"}}, {"ConditionCheck": {"TableName": "b"}}]},
            [("dynamodb:ConditionCheckItem", f"{TABLE}/b"), ("dynamodb:PutItem", f"{TABLE}/a")],
        ),
        (
            "dynamodb",
            "GetRecords",
            {"ShardIterator": f"{TABLE}/t/stream/l|1|x"},
            [("dynamodb:GetRecords", f"{TABLE}/t/stream/l")],
        ),
        ("kinesis", "PutRecord", {"StreamName": "s"}, [("kinesis:PutRecord", STREAM)]),
        ("kinesis", "PutRecord", {"StreamARN": STREAM}, [("kinesis:PutRecord", STREAM)]),
        (
            "kinesis",
            "GetRecords",
            {"ShardIterator": Iterator("1", "r", "s", 1, 0, FIRST, 1).token(b"secret")},
            [("kinesis:GetRecords", STREAM)],
        ),
        ("kinesis", "GetRecords", {"ShardIterator": "nonsense"}, [("kinesis:GetRecords", "*")]),
    ],
)
def test_subjects(service: str, operation: str, given: dict[str, Any], seen: list[tuple[str, str]]) -> None:
    assert subjects(service, operation, given, "1", "r") == seen
