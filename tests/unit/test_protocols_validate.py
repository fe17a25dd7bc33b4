"""Validation in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.protocols.service import Service
from hearth.errors import ValidationFailed

LAMBDA = Service("lambda", unchecked=("Runtime",))
NAME = (
    "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?"
    "([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"
)
GOOD: dict[str, Any] = {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r", "Code": {"ZipFile": b"x"}}


def message(operation: str, members: dict[str, Any]) -> str:
    with pytest.raises(ValidationFailed) as caught:
        LAMBDA.plan(operation).validate(members)
    return caught.value.message


def test_good_input_passes() -> None:
    LAMBDA.plan("CreateFunction").validate({**GOOD, "Timeout": 900, "Architectures": ["arm64"], "Tags": {"a": ""}})


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (
            {"FunctionName": "f!"},
            f"Value 'f!' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression "
            f"pattern: {NAME}",
        ),
        (
            {"FunctionName": "x" * 141},
            f"Value '{'x' * 141}' at 'functionName' failed to satisfy constraint: Member must have length less than "
            "or equal to 140",
        ),
        ({"Code": None}, "Value null at 'code' failed to satisfy constraint: Member must not be null"),
        (
            {"Timeout": 0},
            "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            {"PackageType": "Tar"},
            "Value 'Tar' at 'packageType' failed to satisfy constraint: Member must satisfy enum value set: "
            "[Zip, Image]",
        ),
        (
            {"Architectures": ["x86", "arm64"]},
            "Value '[x86, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than "
            "or equal to 1; Value '[x86, arm64]' at 'architectures' failed to satisfy constraint: Member must satisfy "
            "constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
        ),
        (
            {"Environment": {"Variables": {"1": "v"}}},
            "Value '{1=v}' at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: "
            "[Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
        ),
        (
            {"VpcConfig": {"SubnetIds": ["s"]}},
            "Value '[s]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must satisfy constraint: ["
            "Member must have length less than or equal to 1024, Member must have length greater than or equal to 0, "
            "Member must satisfy regular expression pattern: subnet-[0-9a-z]*]",
        ),
        (
            {"Layers": ["l"]},
            "Value '[l]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have "
            "length less than or equal to 2048, Member must have length greater than or equal to 1, Member must "
            "satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-"
            "[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+), "
            "Member must not be null]",
        ),
        (
            {"EphemeralStorage": {"Size": 1}},
            "Value '1' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value greater than "
            "or equal to 512",
        ),
    ],
)
def test_each_rule_is_worded_as_aws_does(extra: dict[str, Any], problem: str) -> None:
    count = problem.count("Value ")
    plural = "s" if count > 1 else ""

    assert message("CreateFunction", {**GOOD, **extra}) == f"{count} validation error{plural} detected: {problem}"


def test_all_problems_are_told_at_once() -> None:
    text = message("CreateFunction", {"FunctionName": "f", "Timeout": 0})

    assert text.startswith("3 validation errors detected: ")
    assert "'role'" in text
    assert "'code'" in text
    assert "'timeout'" in text


def test_members_that_operations_check_themselves_are_left_alone() -> None:
    LAMBDA.plan("CreateFunction").validate({**GOOD, "Runtime": "cobol"})


def test_recursive_shapes_are_checked_without_end() -> None:
    dynamodb = Service("dynamodb")
    value: dict[str, Any] = {"S": "x"}
    for _ in range(20):
        value = {"L": [value]}

    dynamodb.plan("PutItem").validate({"TableName": "table", "Item": {"a": value}})


def test_structures_in_lists_are_named_by_position() -> None:
    kinesis = Service("kinesis")
    with pytest.raises(ValidationFailed) as caught:
        kinesis.plan("PutRecords").validate({"StreamName": "s", "Records": [{"Data": b"", "PartitionKey": ""}]})

    assert "at 'records.1.member.partitionKey'" in caught.value.message
