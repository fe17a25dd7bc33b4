"""Layers, with boto3 against the whole platform."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import urllib.request
import uuid
import zipfile
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO, zip_of
from tests.support.stack import PlatformStack

OPT = """import os
def handler(event, context):
    names = [os.path.join(at, one) for at, _, files in os.walk("/opt") for one in files]
    return {name.removeprefix("/opt/"): open(name).read() for name in names}
"""


def fresh() -> str:
    return f"layer-{uuid.uuid4().hex[:10]}"


def publish(stack: PlatformStack, name: str, package: bytes | None = None, **given: Any) -> dict[str, Any]:
    content = {"ZipFile": package or zip_of(python__txt=name)}
    return stack.client("lambda").publish_layer_version(LayerName=name, Content=content, **given)


def refused(call: Any, **parameters: Any) -> dict[str, Any]:
    """{Code, Message, Status} of the error that boto3 raises."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"] | {"Status": answer["ResponseMetadata"]["HTTPStatusCode"]}


def arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:layer:{name}"


def attach(stack: PlatformStack, function: str, *arns: str) -> dict[str, Any]:
    stack.client("lambda").update_function_configuration(FunctionName=function, Layers=list(arns))
    stack.client("lambda").get_waiter("function_updated_v2").wait(
        FunctionName=function, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    return stack.client("lambda").get_function_configuration(FunctionName=function)


def test_published_layer_is_found_by_number_and_arn_and_can_be_loaded(stack: PlatformStack) -> None:
    name, lambda_, package = fresh(), stack.client("lambda"), zip_of(a__txt="x")
    given = {
        "Description": "d",
        "LicenseInfo": "MIT",
        "CompatibleRuntimes": ["python3.12"],
        "CompatibleArchitectures": ["x86_64"],
    }
    made = publish(stack, name, package, **given)
    bare = publish(stack, name, package)
    found = lambda_.get_layer_version(LayerName=name, VersionNumber=1)
    by_arn = lambda_.get_layer_version_by_arn(Arn=f"{arn(name)}:1")

    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["LayerArn"], made["LayerVersionArn"], made["Version"]) == (arn(name), f"{arn(name)}:1", 1)
    assert {member: made[member] for member in given} == given
    assert made["Content"]["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert made["Content"]["CodeSize"] == len(package)
    assert (bare["Version"], bare["Description"], "CompatibleRuntimes" in bare, "LicenseInfo" in bare) == (
        *(2, ""),
        *(False, False),
    )
    for one in (found, by_arn):
        assert one.keys() == made.keys()
        assert one["LayerVersionArn"] == made["LayerVersionArn"]
    with urllib.request.urlopen(found["Content"]["Location"]) as answer:
        assert zipfile.ZipFile(io.BytesIO(answer.read())).namelist() == ["a.txt"]


def test_deleted_versions_are_gone_and_their_numbers_not_given_again(stack: PlatformStack) -> None:
    name, lambda_ = fresh(), stack.client("lambda")
    publish(stack, name)
    publish(stack, name)
    for number in (1, 2, 2, 9):
        lambda_.delete_layer_version(LayerName=name, VersionNumber=number)

    assert lambda_.list_layer_versions(LayerName=name)["LayerVersions"] == []
    assert name not in [one["LayerName"] for one in lambda_.list_layers()["Layers"]]
    assert publish(stack, name)["Version"] == 3
    gone = refused(lambda_.get_layer_version, LayerName=name, VersionNumber=1)
    assert (gone["Code"], gone["Message"]) == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )
    assert refused(lambda_.delete_layer_version, LayerName=name, VersionNumber=0)["Message"] == (
        "Layer Version Cannot be less than 1"
    )


def test_lists_are_newest_first_filtered_and_paged(stack: PlatformStack) -> None:
    name, lambda_ = fresh(), stack.client("lambda")
    for runtimes, architectures in ((["python3.12"], ["x86_64"]), (["nodejs22.x"], ["arm64"]), (["python3.12"], [])):
        publish(stack, name, CompatibleRuntimes=runtimes, CompatibleArchitectures=architectures)
    pages = lambda_.get_paginator("list_layer_versions").paginate(LayerName=name, PaginationConfig={"PageSize": 2})
    of_python = lambda_.list_layer_versions(LayerName=name, CompatibleRuntime="python3.12")["LayerVersions"]
    of_arm = lambda_.list_layers(CompatibleArchitecture="arm64", CompatibleRuntime="nodejs22.x")["Layers"]

    assert [[one["Version"] for one in page["LayerVersions"]] for page in pages] == [[3, 2], [1]]
    assert [one["Version"] for one in of_python] == [3, 1]
    assert [one["LatestMatchingVersion"]["Version"] for one in of_arm if one["LayerName"] == name] == [2]
    wrong = refused(lambda_.list_layers, CompatibleRuntime="nonsense")
    assert wrong["Message"].startswith("1 validation error detected: Value 'nonsense' at 'compatibleRuntime' failed")
    both = refused(
        lambda_.publish_layer_version,
        LayerName=name,
        Content={"ZipFile": zip_of(ECHO)},
        CompatibleRuntimes=["nonsense"],
        CompatibleArchitectures=["nonsense"],
    )
    assert both["Message"].startswith("2 validation errors detected: Value '[nonsense]' at 'compatibleRuntimes'")


def test_layers_are_merged_into_opt_in_their_order_and_outlive_their_deletion(stack: PlatformStack) -> None:
    lower, upper = fresh(), fresh()
    publish(stack, lower, zip_of(same__txt="lower", one__txt="1"))
    publish(stack, upper, zip_of(same__txt="upper", two__txt="2"))
    function = stack.deploy(None, OPT)
    shown = attach(stack, function, f"{arn(lower)}:1", f"{arn(upper)}:1")
    assert [one["Arn"] for one in shown["Layers"]] == [f"{arn(lower)}:1", f"{arn(upper)}:1"]
    assert stack.invoke(function, {})["Payload"] == {"same.txt": "upper", "one.txt": "1", "two.txt": "2"}

    stack.client("lambda").publish_version(FunctionName=function)
    stack.client("lambda").delete_layer_version(LayerName=lower, VersionNumber=1)
    attach(stack, function, f"{arn(upper)}:1")
    assert stack.invoke(function, {})["Payload"] == {"same.txt": "upper", "two.txt": "2"}
    assert stack.invoke(f"{function}:1", {})["Payload"] == {"same.txt": "upper", "one.txt": "1", "two.txt": "2"}
    assert "Layers" not in attach(stack, function)
    assert stack.invoke(function, {})["Payload"] == {}


def test_layers_that_cannot_be_had_are_refused_in_awss_words(stack: PlatformStack) -> None:
    name, function = fresh(), stack.deploy(None, ECHO)
    publish(stack, name)
    publish(stack, name)
    elsewhere = f"arn:aws:lambda:eu-west-1:000000000000:layer:{name}:1"
    for arns, message in (
        ([f"{arn(name)}:9"], f"Layer version {arn(name)}:9 does not exist."),
        (
            [f"{arn(name)}:1", f"{arn(name)}:2"],
            "Two different versions of the same layer are not allowed to be referenced in the same function. "
            f"{arn(name)}:1 and {arn(name)}:2 are versions of the same layer.",
        ),
        (
            [elsewhere],
            "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
        ),
        ([f"{arn(name)}:{number}" for number in range(1, 7)], "Cannot reference more than 5 layers."),
    ):
        found = refused(stack.client("lambda").update_function_configuration, FunctionName=function, Layers=arns)
        assert (found["Code"], found["Message"]) == ("InvalidParameterValueException", message)


def test_what_unpacks_to_more_than_250_mb_together_is_refused(stack: PlatformStack) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("big", bytes(131_072_001))
    one, two = fresh(), fresh()
    publish(stack, one, buffer.getvalue())
    publish(stack, two, buffer.getvalue())
    function, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    layers = refused(
        lambda_.update_function_configuration, FunctionName=function, Layers=[f"{arn(one)}:1", f"{arn(two)}:1"]
    )
    attach(stack, function, f"{arn(one)}:1")
    code = refused(lambda_.update_function_code, FunctionName=function, ZipFile=buffer.getvalue())

    assert layers["Message"] == "Layers consume more than the available size of 262144000 bytes"
    assert code["Message"] == (
        "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is "
        "262144002 bytes."
    )


def test_policy_shares_a_layer_version_with_another_account(stack: PlatformStack) -> None:
    name, lambda_ = fresh(), stack.client("lambda")
    publish(stack, name)
    where = {"LayerName": name, "VersionNumber": 1}
    none = refused(lambda_.get_layer_version_policy, **where)
    assert (none["Code"], none["Message"]) == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )
    other = boto3.client(
        "lambda",
        endpoint_url=stack.endpoint,
        region_name="us-east-1",
        aws_access_key_id="000000000002",
        aws_secret_access_key="test",
    )
    using = {
        "FunctionName": f"other-{uuid.uuid4().hex[:8]}",
        "Runtime": "python3.11",
        "Role": "arn:aws:iam::000000000002:role/r",
        "Handler": "app.handler",
        "Code": {"ZipFile": zip_of(OPT)},
        "Layers": [f"{arn(name)}:1"],
    }
    assert refused(other.create_function, **using)["Code"] == "AccessDeniedException"
    assert refused(other.get_layer_version_by_arn, Arn=f"{arn(name)}:1")["Code"] == "AccessDeniedException"

    shared = lambda_.add_layer_version_permission(
        **where, StatementId="s", Action="lambda:GetLayerVersion", Principal="000000000002"
    )
    policy = lambda_.get_layer_version_policy(**where)
    statement = {
        "Sid": "s",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000002:root"},
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{arn(name)}:1",
    }
    assert json.loads(shared["Statement"]) == statement
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert policy["RevisionId"] == shared["RevisionId"]
    assert other.create_function(**using)["Layers"][0]["Arn"] == f"{arn(name)}:1"
    assert other.get_layer_version_by_arn(Arn=f"{arn(name)}:1")["Version"] == 1
    assert other.get_layer_version(LayerName=arn(name), VersionNumber=1)["Version"] == 1
    assert refused(other.list_layer_versions, LayerName=arn(name))["Code"] == "AccessDeniedException"

    again = refused(
        lambda_.add_layer_version_permission,
        **where,
        StatementId="s",
        Action="lambda:GetLayerVersion",
        Principal="*",
    )
    stale = refused(lambda_.remove_layer_version_permission, **where, StatementId="s", RevisionId="nope")
    lambda_.remove_layer_version_permission(**where, StatementId="s", RevisionId=policy["RevisionId"])
    assert (again["Code"], stale["Code"]) == ("ResourceConflictException", "PreconditionFailedException")
    assert refused(lambda_.remove_layer_version_permission, **where, StatementId="s")["Message"] == (
        "Statement s is not found in resource policy."
    )
    other.delete_function(FunctionName=using["FunctionName"])
