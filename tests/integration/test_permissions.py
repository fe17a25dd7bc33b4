"""Resource policies of functions, versions and aliases: their operations, and calls that they decide."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

ACCOUNT, OTHER = "000000000000", "000000000002"
INVOKE = {"Action": "lambda:InvokeFunction"}


@pytest.fixture(scope="module")
def function(stack: PlatformStack) -> str:
    name = stack.deploy(None, ECHO)
    lambda_ = stack.client("lambda")
    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


def error_of(work: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work()
    error = caught.value.response["Error"]
    return error["Code"], error.get("Message") or ""


@pytest.mark.parametrize(
    ("given", "principal", "condition"),
    [
        ({"Principal": "*", "SourceAccount": ACCOUNT}, "*", {"StringEquals": {"AWS:SourceAccount": ACCOUNT}}),
        ({"Principal": "events.amazonaws.com"}, {"Service": "events.amazonaws.com"}, None),
        ({"Principal": OTHER}, {"AWS": f"arn:aws:iam::{OTHER}:root"}, None),
        ({"Principal": f"arn:aws:iam::{OTHER}:user/u"}, {"AWS": f"arn:aws:iam::{OTHER}:user/u"}, None),
        (
            {"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::bucket"},
            {"Service": "s3.amazonaws.com"},
            {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}},
        ),
        (
            {"Principal": "*", "FunctionUrlAuthType": "NONE", "Action": "lambda:InvokeFunctionUrl"},
            "*",
            {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
        ),
        (
            {"Principal": "*", "PrincipalOrgID": "o-1234567890", "EventSourceToken": "token"},
            "*",
            {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890", "lambda:EventSourceToken": "token"}},
        ),
        ({"Principal": "*", "InvokedViaFunctionUrl": True}, "*", {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
    ],
)
def test_statement_is_made_as_on_aws(
    stack: PlatformStack, function: str, given: dict[str, Any], principal: Any, condition: Any
) -> None:
    lambda_ = stack.client("lambda")
    answer = lambda_.add_permission(FunctionName=function, StatementId="one", Qualifier="live", **INVOKE | given)
    lambda_.remove_permission(FunctionName=function, StatementId="one", Qualifier="live")

    statement = json.loads(answer["Statement"])
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert statement == {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": principal,
        "Action": (INVOKE | given)["Action"],
        "Resource": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}:live",
        **({"Condition": condition} if condition else {}),
    }


def test_policies_of_function_version_and_alias_are_separate_with_revisions(
    stack: PlatformStack, function: str
) -> None:
    lambda_ = stack.client("lambda")
    given = {"FunctionName": function, "Principal": "events.amazonaws.com", **INVOKE}
    revision = lambda_.get_function(FunctionName=function)["Configuration"]["RevisionId"]
    for qualifier in ({}, {"Qualifier": "1"}, {"Qualifier": "live"}):
        lambda_.add_permission(StatementId="a", **given, **qualifier)
    lambda_.add_permission(StatementId="b", **given)

    own = lambda_.get_policy(FunctionName=function)
    shown = lambda_.get_function(FunctionName=function)["Configuration"]["RevisionId"]
    assert own["RevisionId"] == shown != revision
    document = json.loads(own["Policy"])
    assert (document["Version"], document["Id"]) == ("2012-10-17", "default")
    assert [one["Sid"] for one in document["Statement"]] == ["a", "b"]
    of_version = json.loads(lambda_.get_policy(FunctionName=function, Qualifier="1")["Policy"])["Statement"]
    assert [one["Resource"].rpartition(":")[2] for one in of_version] == ["1"]
    assert (
        lambda_.get_alias(FunctionName=function, Name="live")["RevisionId"]
        == (lambda_.get_policy(FunctionName=function, Qualifier="live")["RevisionId"])
    )
    code, text = error_of(lambda: lambda_.add_permission(StatementId="c", RevisionId="wrong", **given))
    assert (code, "Call the GetPolicy API" in text) == ("PreconditionFailedException", True)
    lambda_.remove_permission(FunctionName=function, StatementId="b", RevisionId=own["RevisionId"])
    lambda_.remove_permission(FunctionName=function, StatementId="a")
    for qualifier in ("1", "live"):
        lambda_.remove_permission(FunctionName=function, StatementId="a", Qualifier=qualifier)
    assert error_of(lambda: lambda_.get_policy(FunctionName=function)) == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )


def test_errors_are_those_of_aws(stack: PlatformStack, function: str) -> None:
    lambda_ = stack.client("lambda")
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function"

    def adding(**given: str) -> tuple[str, str]:
        base = {"FunctionName": function, "StatementId": "s", "Principal": "s3.amazonaws.com", **INVOKE}
        return error_of(lambda: lambda_.add_permission(**base | given))

    def removing(**given: str) -> tuple[str, str]:
        return error_of(lambda: lambda_.remove_permission(**{"FunctionName": function, "StatementId": "s"} | given))

    assert adding(StatementId="a.b")[1] == (
        "1 validation error detected: Value 'a.b' at 'statementId' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: ([a-zA-Z0-9-_]+)"
    )
    assert adding(Qualifier="$LATEST")[1] == "We currently do not support adding policies for $LATEST."
    assert adding(Principal="invalid.nonaws.com")[1] == (
        "The provided principal was invalid. Please check the principal and try again."
    )
    assert adding(FunctionName="nope")[1] == f"Function not found: {arn}:nope"
    assert adding(Qualifier="nope")[1] == f"Cannot find alias arn: {arn}:{function}:nope"
    assert adding(Qualifier="42")[1] == f"Function not found: {arn}:{function}:42"
    assert adding(Qualifier="with-$-sign")[1] == f"Function not found: {arn}:{function}:with-$-sign"
    assert removing()[1] == "No policy is associated with the given resource."
    assert removing(FunctionName="nope")[1] == f"No policy found for: {arn}:nope"
    assert removing(Qualifier="nope")[1] == f"Cannot find alias arn: {arn}:{function}:nope"
    lambda_.add_permission(FunctionName=function, StatementId="s", Principal="s3.amazonaws.com", **INVOKE)
    assert adding() == (
        "ResourceConflictException",
        "The statement id (s) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
    )
    assert removing(StatementId="t")[1] == "Statement t is not found in resource policy."
    lambda_.remove_permission(FunctionName=function, StatementId="s")


def test_policy_longer_than_20_kb_is_refused(stack: PlatformStack, function: str) -> None:
    lambda_ = stack.client("lambda")
    given = {"FunctionName": function, "Principal": "s3.amazonaws.com", **INVOKE}
    lambda_.add_permission(StatementId="s1", SourceArn=f"arn:aws:s3:::{'x' * 9000}", **given)
    lambda_.add_permission(StatementId="s2", SourceArn=f"arn:aws:s3:::{'x' * 9000}", **given)
    code, _ = error_of(
        lambda: lambda_.add_permission(StatementId="s3", SourceArn=f"arn:aws:s3:::{'x' * 3000}", **given)
    )
    for sid in ("s1", "s2"):
        lambda_.remove_permission(FunctionName=function, StatementId=sid)

    assert code == "PolicyLengthExceededException"


def test_whole_policy_is_put_read_and_deleted(stack: PlatformStack, function: str) -> None:
    lambda_ = stack.client("lambda")
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}"
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "x", "Effect": "Allow", "Principal": "*", "Action": "lambda:GetPolicy", "Resource": arn}],
    }
    put = lambda_.put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy))
    got = lambda_.get_resource_policy(ResourceArn=arn)
    assert json.loads(got["Policy"]) == policy == json.loads(lambda_.get_policy(FunctionName=function)["Policy"])
    assert got["RevisionId"] == put["RevisionId"]
    lambda_.delete_resource_policy(ResourceArn=arn, RevisionId=put["RevisionId"])
    assert error_of(lambda: lambda_.get_resource_policy(ResourceArn=arn))[0] == "ResourceNotFoundException"


def test_other_account_may_call_what_the_policy_allows(stack: PlatformStack, function: str) -> None:
    own = stack.client("lambda")
    other = boto3.client(
        "lambda",
        endpoint_url=stack.endpoint,
        region_name="us-east-1",
        aws_access_key_id=OTHER,
        aws_secret_access_key="test",
    )
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}"
    denied = ("AccessDeniedException", "")
    assert error_of(lambda: other.invoke(FunctionName=arn)) == denied
    own.add_permission(FunctionName=function, StatementId="them", Principal=OTHER, **INVOKE)

    assert other.invoke(FunctionName=arn, Payload=b"1")["Payload"].read() == b"1"
    assert error_of(lambda: other.get_function(FunctionName=arn)) == denied
    assert error_of(lambda: other.invoke(FunctionName=f"{arn}:live")) == denied
    own.remove_permission(FunctionName=function, StatementId="them")
    assert error_of(lambda: other.invoke(FunctionName=arn)) == denied
