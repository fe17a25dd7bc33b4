"""Code that comes from S3, and container images, which don't come at all."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.companion import CompanionServer
from tests.support.functions import zip_of
from tests.support.stack import PlatformStack


@pytest.fixture(scope="module")
def bucket(companion: CompanionServer) -> str:
    """With versions of code.zip: `1`, then `2`."""
    name, s3 = f"code-{uuid.uuid4().hex[:8]}", companion.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for value in (1, 2):
        s3.put_object(Bucket=name, Key="code.zip", Body=returning(value))
    return name


def returning(value: int) -> bytes:
    return zip_of(f"def handler(event, context):\n    return {value}\n")


def create(stack: PlatformStack, code: dict[str, Any], **given: Any) -> str:
    name, lambda_ = f"s3-{uuid.uuid4().hex[:10]}", stack.client("lambda")
    role = "arn:aws:iam::000000000000:role/r"
    parameters = {"Runtime": "python3.11", "Handler": "app.handler", "FunctionName": name, "Role": role, "Code": code}
    lambda_.create_function(**(parameters | given))
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
    return name


def test_function_runs_the_object_that_was_named(stack: PlatformStack, companion: CompanionServer, bucket: str) -> None:
    versions = companion.client("s3").list_object_versions(Bucket=bucket)["Versions"]
    first = next(version["VersionId"] for version in versions if not version["IsLatest"])
    newest = create(stack, {"S3Bucket": bucket, "S3Key": "code.zip"})
    older = create(stack, {"S3Bucket": bucket, "S3Key": "code.zip", "S3ObjectVersion": first})
    assert [stack.invoke(name)["Payload"] for name in (newest, older)] == [2, 1]

    lambda_ = stack.client("lambda")
    lambda_.update_function_code(FunctionName=older, S3Bucket=bucket, S3Key="code.zip")
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=older)
    assert stack.invoke(older)["Payload"] == 2


def test_layer_comes_from_an_object_too(stack: PlatformStack, bucket: str) -> None:
    content = {"S3Bucket": bucket, "S3Key": "code.zip"}
    layer = stack.client("lambda").publish_layer_version(LayerName=f"s3-{uuid.uuid4().hex[:8]}", Content=content)

    assert layer["Content"]["CodeSize"] == len(returning(2))


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        ("nothing.zip", "NoSuchKey", "The specified key does not exist."),
        (None, "NoSuchBucket", "The specified bucket does not exist"),
    ],
)
def test_object_that_is_not_there_is_told_in_awss_words(
    stack: PlatformStack, bucket: str, key: str | None, code: str, message: str
) -> None:
    where = {"S3Bucket": bucket if key else "hearth-no-such-bucket", "S3Key": key or "code.zip"}
    with pytest.raises(ClientError) as caught:
        create(stack, where)

    assert caught.value.response["Error"]["Message"] == (
        f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
    )


def test_container_image_is_refused_and_told_what_to_do(stack: PlatformStack) -> None:
    with pytest.raises(ClientError, match="Container images are not supported by Hearth"):
        create(stack, {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/i:1"}, PackageType="Image")
