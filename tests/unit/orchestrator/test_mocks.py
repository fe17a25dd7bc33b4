"""Mocked results are held against the service's model."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.asl.resources import parse_resource
from hearth.errors import ApiError
from orchestrator.mocks import check_mock

PREFIX = "arn:aws:states:::"


@pytest.mark.parametrize(
    ("resource", "result", "problem"),
    [
        ("events:putEvents", {"Entries": "x"}, "Field 'Entries' must be an array"),
        ("events:putEvents", {"Entries": [{"EventId": "a"}, {"EventId": ["b"]}]}, "Field 'EventId' must be a string"),
        ("states:startExecution", {}, "Required field 'ExecutionArn' is missing"),
        ("states:startExecution", {"ExecutionArn": "a", "StartDate": 1}, "Field 'StartDate' must be a string"),
        ("lambda:invoke", {"StatusCode": "200"}, "Field 'StatusCode' must be a number"),
        ("dynamodb:putItem", {"ConsumedCapacity": {"CapacityUnits": "1"}}, "Field 'CapacityUnits' must be a number"),
        ("aws-sdk:s3:getObject", {"StorageClass": "Papyrus"}, "Field 'StorageClass' is not an expected value"),
        ("aws-sdk:kms:encrypt", {"CiphertextBlob": ""}, "Field 'CiphertextBlob' is smaller than the minimum length"),
        (
            "aws-sdk:lambda:getFunction",
            {"Configuration": {"MemorySize": 127}},
            "Field 'MemorySize' is less than the minimum value",
        ),
        (
            "aws-sdk:lambda:getFunction",
            {"Configuration": {"MemorySize": 1000000}},
            "Field 'MemorySize' exceeds the maximum value",
        ),
    ],
)
def test_strict_mode(resource: str, result: Any, problem: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_mock(parse_resource(PREFIX + resource), result, "STRICT")
    assert refused.value.message == f"Mock result schema validation error: {problem}"


@pytest.mark.parametrize(
    ("resource", "result", "mode"),
    [
        ("events:putEvents", {"random": "json"}, "STRICT"),
        ("states:startExecution", {}, "PRESENT"),
        ("states:startExecution", {"ExecutionArn": 1}, "NONE"),
        ("sqs:sendMessage.waitForTaskToken", {"MessageId": 1}, "STRICT"),
    ],
)
def test_let_through(resource: str, result: Any, mode: str) -> None:
    check_mock(parse_resource(PREFIX + resource), result, mode)
