"""Tags of functions and code signing configurations; what an account has used."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

PREFIX = "arn:aws:lambda:us-east-1:000000000000"


def error_of(work: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_tags_come_change_and_go(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda")
    name = stack.deploy(None, ECHO, Tags={"a": "1"})
    arn = f"{PREFIX}:function:{name}"
    revision = lambda_.get_function(FunctionName=name)["Configuration"]["RevisionId"]

    assert lambda_.tag_resource(Resource=arn, Tags={"a": "2", "b": "3"})["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"a": "2", "b": "3"}
    found = lambda_.get_function(FunctionName=name)
    assert (found["Tags"], found["Configuration"]["RevisionId"] != revision) == ({"a": "2", "b": "3"}, True)
    lambda_.untag_resource(Resource=arn, TagKeys=["a", "nope"])
    lambda_.untag_resource(Resource=arn, TagKeys=["b"])
    assert lambda_.list_tags(Resource=arn)["Tags"] == {}
    assert "Tags" not in lambda_.get_function(FunctionName=name)
    assert stack.invoke(name, 1)["Payload"] == 1


def test_fifty_tags_and_no_more(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda")
    many = {str(number): "x" for number in range(50)}
    name = stack.deploy(None, ECHO, Tags=many)
    arn, more = f"{PREFIX}:function:{name}", "Number of tags exceeds resource tag limit."

    assert error_of(lambda: lambda_.tag_resource(Resource=arn, Tags={"51": "x"})) == (
        "InvalidParameterValueException",
        more,
    )
    assert error_of(lambda: stack.deploy(None, ECHO, Tags=many | {"51": "x"}))[1] == more
    lambda_.tag_resource(Resource=arn, Tags={"0": "y"})
    assert lambda_.list_tags(Resource=arn)["Tags"]["0"] == "y"


def test_errors_are_those_of_aws(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda", parameter_validation=False)
    name = stack.deploy(None, ECHO)
    arn = f"{PREFIX}:function:{name}"

    assert error_of(lambda: lambda_.list_tags(Resource=f"{PREFIX}:function:nope")) == (
        "ResourceNotFoundException",
        f"Function not found: {PREFIX}:function:nope",
    )
    assert error_of(lambda: lambda_.tag_resource(Resource=f"{arn}:live", Tags={"a": "b"})) == (
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )
    assert error_of(lambda: lambda_.tag_resource(Resource=arn, Tags={})) == (
        "InvalidParameterValueException",
        "An error occurred and the request cannot be processed.",
    )
    assert error_of(lambda: lambda_.untag_resource(Resource=arn)) == (
        "ValidationException",
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
    )
    code, text = error_of(lambda: lambda_.list_tags(Resource="arn:aws:something"))
    assert code == "ValidationException"
    assert text.startswith("1 validation error detected: Value 'arn:aws:something' at 'resource' failed to satisfy")
    mapping = f"{PREFIX}:event-source-mapping:00000000-0000-0000-0000-000000000000"
    assert error_of(lambda: lambda_.list_tags(Resource=mapping))[1] == f"Event source mapping not found: {mapping}"


def test_code_signing_configuration_has_tags_too(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda")
    publisher = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/abcdefghij"
    config = lambda_.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [publisher]}, Tags={"a": "1"}
    )["CodeSigningConfig"]
    arn = config["CodeSigningConfigArn"]
    lambda_.tag_resource(Resource=arn, Tags={"b": "2"})
    lambda_.untag_resource(Resource=arn, TagKeys=["a"])

    assert lambda_.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    assert "Tags" not in config


def test_account_counts_functions_versions_and_layers(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda")

    def used() -> tuple[int, int]:
        usage = lambda_.get_account_settings()["AccountUsage"]
        return usage["FunctionCount"], usage["TotalCodeSize"]

    before = used()
    name = stack.deploy(None, ECHO)
    size = lambda_.get_function(FunctionName=name)["Configuration"]["CodeSize"]
    created = used()
    lambda_.publish_version(FunctionName=name)
    published = used()
    limits = lambda_.get_account_settings()["AccountLimit"]
    lambda_.delete_function(FunctionName=name)

    assert created == (before[0] + 1, before[1] + size)
    assert published == (created[0], created[1] + size)
    assert used() == before
    assert limits["TotalCodeSize"] == 80_530_636_800
    assert (limits["CodeSizeZipped"], limits["CodeSizeUnzipped"]) == (52_428_800, 262_144_000)
    assert limits["UnreservedConcurrentExecutions"] <= limits["ConcurrentExecutions"] == 1000
