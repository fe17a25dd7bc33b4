"""Task parameters and results between Step Functions' spelling and botocore's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from orchestrator.integrations.aws_sdk import botocore_name, class_name
from orchestrator.integrations.shapes import UnsupportedField, from_answer, missing_member, result_name, to_parameters


def operation(service: str, name: str) -> Any:
    return botocore.session.Session().get_service_model(service).operation_model(name)


def test_members_are_found_whatever_their_case() -> None:
    model = operation("stepfunctions", "StartExecution")
    given = {"StateMachineArn": "arn", "Input": {"key": [1]}, "Name": "n"}
    assert to_parameters(model, given) == {"stateMachineArn": "arn", "input": '{"key":[1]}', "name": "n"}


@pytest.mark.parametrize(("body", "sent"), [("text", b"text"), ({"a": 1}, b'{"a":1}'), (False, b"false"), (0, b"0")])
def test_json_is_sent_as_text_where_bytes_are_wanted(body: Any, sent: bytes) -> None:
    assert to_parameters(operation("s3", "PutObject"), {"Bucket": "b", "Key": "k", "Body": body})["Body"] == sent


def test_unknown_and_missing_members_are_told() -> None:
    model = operation("dynamodb", "PutItem")
    with pytest.raises(UnsupportedField, match='The field "Nope" is not supported'):
        to_parameters(model, {"Nope": 1})
    assert missing_member(model, to_parameters(model, {"TableName": "t"})) == "Item"


def test_results_are_pascal_case_but_keys_of_data_are_not() -> None:
    answer = {"Item": {"someKey": {"S": "x"}, "SSN": {"S": "y"}}}
    assert from_answer(operation("dynamodb", "GetItem"), answer) == answer
    moment = datetime(2024, 1, 2, 3, 4, 5, 678000, UTC)
    started = from_answer(operation("stepfunctions", "StartExecution"), {"executionArn": "a", "startDate": moment})
    assert started == {"ExecutionArn": "a", "StartDate": "2024-01-02T03:04:05.678Z"}


@pytest.mark.parametrize(
    ("member", "shown"),
    [("ETag", "ETag"), ("DBInstances", "DbInstances"), ("stateMachineArn", "StateMachineArn"), ("Arn", "Arn"),
     ("ChecksumCRC32", "ChecksumCRC32"), ("MD5OfMessageBody", "Md5OfMessageBody")],
)  # fmt: skip
def test_names_of_results(member: str, shown: str) -> None:
    assert result_name(member) == shown


@pytest.mark.parametrize(
    ("service", "name", "shown"),
    [("sfn", "stepfunctions", "Sfn"), ("dynamodb", "dynamodb", "DynamoDb"), ("s3", "s3", "S3"),
     ("secretsmanager", "secretsmanager", "SecretsManager"), ("eventbridge", "events", "EventBridge"),
     ("bedrockruntime", "bedrock-runtime", "BedrockRuntime"), ("cloudwatchlogs", "logs", "CloudWatchLogs")],
)  # fmt: skip
def test_names_of_services(service: str, name: str, shown: str) -> None:
    assert botocore_name(service) == name
    assert class_name(name) == shown
