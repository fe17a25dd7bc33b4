"""Access keys with policies, roles, temporary credentials: over the API, made by the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.companion import CompanionServer
from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

ACCOUNT = "000000000000"
INVOKER = """
import boto3, botocore.exceptions

def handler(event, context):
    try:
        answer = boto3.client("lambda").invoke(FunctionName=event["name"], Payload=b"{}")
        return answer["StatusCode"]
    except botocore.exceptions.ClientError as exc:
        return str(exc)
"""


def hearth(stack: PlatformStack, *arguments: str, status: int = 0) -> str:
    environ = os.environ | stack.environ() | stack.servers.environ()
    done = subprocess.run(
        [sys.executable, "-m", "hearth.cli", *arguments], env=environ, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def client(stack: PlatformStack, service: str, key: dict[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=stack.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}),
    )


def created(stack: PlatformStack, name: str, *options: str) -> dict[str, str]:
    """Made, and known to the gateway."""
    key = json.loads(hearth(stack, "keys", "create", name, *options, "--json"))
    wait_for(lambda: client(stack, "sts", key).get_caller_identity())
    return key


def wait_for(work: Any) -> Any:
    """Gateways take a change in within a second or so."""
    for _ in range(600):
        try:
            return work()
        except ClientError as exc:
            error = exc
            time.sleep(0.1)
    raise error


def wait_for_refusal(work: Any) -> None:
    for _ in range(600):
        try:
            work()
        except ClientError:
            return
        time.sleep(0.1)


def code_of(work: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_key_may_do_what_its_policy_allows_and_nothing_else(stack: PlatformStack) -> None:
    mine, other = stack.deploy(None, ECHO), stack.deploy(None, ECHO)
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{mine}"
    key = created(stack, "ci", "--allow", "lambda:InvokeFunction", "--allow", "lambda:Get*", "--on", arn)
    lambda_ = client(stack, "lambda", key)

    assert client(stack, "sts", key).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ci"
    assert lambda_.invoke(FunctionName=mine, Payload=b"{}")["StatusCode"] == 200
    assert lambda_.get_function(FunctionName=arn)["Configuration"]["FunctionName"] == mine
    assert code_of(lambda: lambda_.invoke(FunctionName=other)) == (
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:user/ci is not authorized to perform: lambda:InvokeFunction on resource: "
        f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{other} because no identity-based policy allows the "
        "lambda:InvokeFunction action",
    )
    assert code_of(lambda: lambda_.delete_function(FunctionName=mine))[0] == "AccessDeniedException"
    assert code_of(lambda: lambda_.list_functions())[0] == "AccessDeniedException"


def test_deleted_key_is_accepted_no_longer(stack: PlatformStack) -> None:
    key = created(stack, "leaver", "--allow-all")
    assert key["AccessKeyId"] in hearth(stack, "keys", "list")
    session = client(stack, "sts", key).get_session_token()["Credentials"]
    hearth(stack, "keys", "delete", key["AccessKeyId"])

    wait_for_refusal(lambda: client(stack, "sts", key).get_caller_identity())
    assert code_of(lambda: client(stack, "sts", key).get_caller_identity())[0] == "InvalidClientTokenId"
    assert code_of(lambda: client(stack, "sts", session).get_caller_identity())[0] == "InvalidClientTokenId"
    assert "no access key" in hearth(stack, "keys", "delete", key["AccessKeyId"], status=1)


def test_policy_decides_over_services_of_others_too(stack: PlatformStack, companion: CompanionServer) -> None:
    companion.client("s3").create_bucket(Bucket="guarded")
    key = created(stack, "reader", "--allow", "s3:GetObject", "--allow", "sqs:ListQueues")
    s3 = client(stack, "s3", key)

    assert code_of(lambda: s3.put_object(Bucket="guarded", Key="k", Body=b"x"))[0] == "AccessDenied"
    assert code_of(lambda: s3.get_object(Bucket="guarded", Key="nope"))[0] == "NoSuchKey"
    client(stack, "sqs", key).list_queues()
    assert code_of(lambda: client(stack, "sqs", key).create_queue(QueueName="q"))[0] == "AccessDeniedException"


def test_functions_role_may_do_what_its_policy_allows(stack: PlatformStack) -> None:
    target = stack.deploy(None, ECHO)
    role = f"arn:aws:iam::{ACCOUNT}:role/guarded"
    caller = stack.deploy(None, INVOKER, Role=role, Timeout=60)
    assert stack.invoke(caller, {"name": target})["Payload"] == 200

    hearth(stack, "roles", "allow", "guarded", "--allow", "lambda:GetFunction")
    for _ in range(600):
        told = stack.invoke(caller, {"name": target})["Payload"]
        if told != 200:
            break
        time.sleep(0.1)
    assert "is not authorized to perform: lambda:InvokeFunction" in told
    assert "guarded" in hearth(stack, "roles", "list")

    hearth(stack, "roles", "delete", "guarded")
    for _ in range(600):
        told = stack.invoke(caller, {"name": target})["Payload"]
        if told == 200:
            break
        time.sleep(0.1)
    assert told == 200


def test_role_is_assumed_and_narrowed_by_a_session_policy(stack: PlatformStack) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/path/visitor"
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lambda:List*", "Resource": "*"}]}
    sts = stack.client("sts")
    answer = sts.assume_role(
        RoleArn=role,
        RoleSessionName="me",
        Policy=json.dumps(policy),
        DurationSeconds=900,
        Tags=[{"Key": "team", "Value": "a"}],
        TransitiveTagKeys=["team"],
    )
    visitor = client(stack, "lambda", answer["Credentials"])

    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/visitor/me"
    assert answer["AssumedRoleUser"]["Arn"] == arn
    me = client(stack, "sts", answer["Credentials"]).get_caller_identity()
    assert (me["Arn"], me["UserId"]) == (arn, answer["AssumedRoleUser"]["AssumedRoleId"])
    assert "Functions" in visitor.list_functions()
    assert code_of(lambda: visitor.get_function(FunctionName="f"))[0] == "AccessDeniedException"
    again = {"RoleArn": role, "RoleSessionName": "again"}
    wider = sts.assume_role(
        RoleArn=role, RoleSessionName="wider", Tags=[{"Key": "t", "Value": "1"}], TransitiveTagKeys=["t"]
    )
    assert code_of(
        lambda: client(stack, "sts", wider["Credentials"]).assume_role(**again, Tags=[{"Key": "T", "Value": "2"}])
    ) == (
        "InvalidParameterValue",
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
        "the calling session.",
    )
    assert code_of(lambda: client(stack, "sts", wider["Credentials"]).get_session_token())[0] == "AccessDenied"


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        (
            {"RoleArn": "nothing-valid-in-here", "RoleSessionName": "s1"},
            "ValidationError",
            "nothing-valid-in-here is invalid",
        ),
        ({"RoleArn": "arn:a:::something/test-role", "RoleSessionName": "s1"}, "ValidationError", "is invalid"),
        ({"RoleArn": f"arn:aws:iam::{ACCOUNT}:user/u", "RoleSessionName": "s1"}, "AccessDenied", "sts:AssumeRole"),
        (
            {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r", "RoleSessionName": "Session1:2"},
            "ValidationError",
            "1 validation error detected: Value 'Session1:2' at 'roleSessionName' failed to satisfy constraint: Member "
            r"must satisfy regular expression pattern: [\w+=,.@-]*",
        ),
        (
            {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r", "RoleSessionName": "s1", "Policy": "{"},
            "MalformedPolicyDocument",
            "Syntax errors in policy.",
        ),
    ],
)
def test_role_that_cannot_be_assumed(stack: PlatformStack, parameters: dict[str, str], code: str, text: str) -> None:
    sts = stack.client("sts", parameter_validation=False)
    found, message = code_of(lambda: sts.assume_role(**parameters))

    assert found == code
    assert text in message


def test_command_refuses_what_is_no_policy(stack: PlatformStack, tmp_path: Any) -> None:
    wrong = tmp_path / "policy.json"
    wrong.write_text('{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe"}]}')

    assert "Effect must be" in hearth(stack, "keys", "create", "x", "--policy", str(wrong), status=2)
    assert "Say what it may do" in hearth(stack, "keys", "create", "x", status=2)
    assert "is no action" in hearth(stack, "keys", "create", "x", "--allow", "everything", status=2)
