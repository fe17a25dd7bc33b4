"""What is kept beside functions and shown, with boto3 against the whole platform."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

PUBLISHERS = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/test"]}


def refused(call: Any, **parameters: Any) -> dict[str, Any]:
    """{Code, Message, Status} of the error that boto3 raises."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"] | {"Status": answer["ResponseMetadata"]["HTTPStatusCode"]}


def updated(stack: PlatformStack, function: str, **given: Any) -> dict[str, Any]:
    lambda_ = stack.client("lambda")
    answer: dict[str, Any] = lambda_.update_function_configuration(FunctionName=function, **given)
    lambda_.get_waiter("function_updated_v2").wait(
        FunctionName=function, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    return answer


def test_code_signing_config_is_made_attached_and_deleted(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda")
    made = lambda_.create_code_signing_config(AllowedPublishers=PUBLISHERS, Description="d")["CodeSigningConfig"]
    arn = made["CodeSigningConfigArn"]
    assert made["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}
    assert arn == f"arn:aws:lambda:us-east-1:000000000000:code-signing-config:{made['CodeSigningConfigId']}"

    changed = lambda_.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"}
    )["CodeSigningConfig"]
    assert changed["Description"] == "d"
    assert lambda_.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == changed
    assert changed in lambda_.list_code_signing_configs()["CodeSigningConfigs"]

    with_it, later = stack.deploy(None, ECHO, CodeSigningConfigArn=arn), stack.deploy(None, ECHO)
    assert "CodeSigningConfigArn" not in lambda_.get_function_code_signing_config(FunctionName=later)
    lambda_.put_function_code_signing_config(FunctionName=later, CodeSigningConfigArn=arn)
    for function in (with_it, later):
        found = lambda_.get_function_code_signing_config(FunctionName=function)
        assert (found["CodeSigningConfigArn"], found["FunctionName"]) == (arn, function)
    having = lambda_.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"]
    assert {one.rpartition(":")[2] for one in having} == {with_it, later}
    assert refused(lambda_.delete_code_signing_config, CodeSigningConfigArn=arn)["Code"] == "ResourceConflictException"

    lambda_.delete_function_code_signing_config(FunctionName=later)
    lambda_.delete_function(FunctionName=with_it)
    lambda_.delete_code_signing_config(CodeSigningConfigArn=arn)
    gone = refused(lambda_.get_code_signing_config, CodeSigningConfigArn=arn)
    assert gone["Message"] == f"The Lambda code signing configuration {arn} can not be found."
    unknown = refused(lambda_.put_function_code_signing_config, FunctionName=later, CodeSigningConfigArn=arn)
    assert unknown["Code"] == "CodeSigningConfigNotFoundException"


def test_runtime_management_belongs_to_a_version(stack: PlatformStack) -> None:
    function, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    lambda_.publish_version(FunctionName=function)
    version = f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}"
    put = lambda_.put_runtime_management_config(
        FunctionName=function, Qualifier="1", UpdateRuntimeOn="Manual", RuntimeVersionArn=version
    )
    found = lambda_.get_runtime_management_config(FunctionName=f"{function}:1")
    latest = lambda_.get_runtime_management_config(FunctionName=function)

    assert put["FunctionArn"].endswith(f":{function}:1")
    assert (found["UpdateRuntimeOn"], found["RuntimeVersionArn"]) == ("Manual", version)
    assert (latest["UpdateRuntimeOn"], "RuntimeVersionArn" in latest) == ("Auto", False)
    missing = refused(lambda_.put_runtime_management_config, FunctionName=function, UpdateRuntimeOn="Manual")
    assert missing["Code"] == "InvalidParameterValueException"
    assert refused(lambda_.get_runtime_management_config, FunctionName=function, Qualifier="9")["Status"] == 404


def test_snap_start_is_on_in_published_versions_of_runtimes_that_have_it(stack: PlatformStack) -> None:
    function, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    older = refused(
        lambda_.update_function_configuration,
        FunctionName=function,
        Runtime="python3.11",
        SnapStart={"ApplyOn": "PublishedVersions"},
    )
    assert older["Message"] == "python3.11 is not supported for SnapStart enabled functions."
    latest = updated(stack, function, Runtime="python3.12", SnapStart={"ApplyOn": "PublishedVersions"})
    published = lambda_.publish_version(FunctionName=function)

    assert latest["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert published["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}


def test_what_is_kept_is_shown_and_cleared_as_on_aws(stack: PlatformStack) -> None:
    queue = "arn:aws:sqs:us-east-1:000000000000:dead"
    function = stack.deploy(None, ECHO)
    shown = updated(
        stack,
        function,
        DeadLetterConfig={"TargetArn": queue},
        TracingConfig={"Mode": "Active"},
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    )
    cleared = updated(
        stack, function, DeadLetterConfig={"TargetArn": ""}, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []}
    )

    assert shown["DeadLetterConfig"] == {"TargetArn": queue}
    assert shown["TracingConfig"] == {"Mode": "Active"}
    # nobody serves EC2 here, so which VPC it is can't be told
    assert shown["VpcConfig"] == {
        "SubnetIds": ["subnet-1"],
        "SecurityGroupIds": ["sg-1"],
        "VpcId": "",
        "Ipv6AllowedForDualStack": False,
    }
    assert "DeadLetterConfig" not in cleared
    assert (cleared["VpcConfig"]["SubnetIds"], cleared["VpcConfig"]["VpcId"]) == ([], "")
