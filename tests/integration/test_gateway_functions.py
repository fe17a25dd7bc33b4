"""The function control plane, with boto3 against the whole platform."""

from __future__ import annotations

import base64
import hashlib
import io
import urllib.error
import urllib.request
import uuid
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO, zip_of
from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/test"
SEVEN = "def handler(event, context):\n    return 7\n"


def fresh() -> str:
    return f"gw-{uuid.uuid4().hex[:12]}"


def refused(call: Any, **parameters: Any) -> dict[str, Any]:
    """{Code, Message, Status} of the error that boto3 raises."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"] | {"Status": answer["ResponseMetadata"]["HTTPStatusCode"]}


def arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def create(stack: PlatformStack, name: str, **given: Any) -> dict[str, Any]:
    parameters = {"Runtime": "python3.11", "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": zip_of(ECHO)}}
    return stack.client("lambda").create_function(**{"FunctionName": name, **parameters, **given})


def test_created_function_is_pending_then_active_with_a_new_revision(stack: PlatformStack) -> None:
    name, package = fresh(), zip_of(ECHO)
    created = create(stack, name, Code={"ZipFile": package}, Tags={"team": "a"})
    stack.client("lambda").get_waiter("function_active_v2").wait(FunctionName=name)
    found = stack.client("lambda").get_function(FunctionName=name)

    assert (created["State"], created["StateReasonCode"]) == ("Pending", "Creating")
    assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    configuration = found["Configuration"]
    assert (configuration["State"], configuration["LastUpdateStatus"]) == ("Active", "Successful")
    assert configuration["RevisionId"] != created["RevisionId"]
    assert found["Tags"] == {"team": "a"}


def test_code_location_serves_the_package_and_cannot_be_forged(stack: PlatformStack) -> None:
    name = stack.deploy(None, ECHO)
    location = stack.client("lambda").get_function(FunctionName=name)["Code"]["Location"]

    with urllib.request.urlopen(location) as answer:
        assert zipfile.ZipFile(io.BytesIO(answer.read())).namelist() == ["app.py"]
    for forged in (location[:-1] + ("0" if location[-1] != "0" else "1"), location.replace("expires=1", "expires=2")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(forged)
        assert caught.value.code == 403


def test_updated_code_runs_from_the_invoke_after_the_waiter(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    assert stack.invoke(name, 1)["Payload"] == 1
    for value in range(3):
        source = f"def handler(event, context):\n    return 'new {value}'\n"
        updated = lambda_.update_function_code(FunctionName=name, ZipFile=zip_of(source))
        assert updated["LastUpdateStatus"] == "InProgress"
        lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
        assert stack.invoke(name, 1)["Payload"] == f"new {value}"


def test_dry_run_of_an_update_answers_and_changes_nothing(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    before = lambda_.get_function_configuration(FunctionName=name)
    would_be = lambda_.update_function_code(FunctionName=name, ZipFile=zip_of(SEVEN), DryRun=True)

    assert would_be["CodeSha256"] != before["CodeSha256"]
    assert lambda_.get_function_configuration(FunctionName=name)["RevisionId"] == before["RevisionId"]


def test_configuration_update_keeps_what_is_not_given(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO, Environment={"Variables": {"KEY": "value"}}), stack.client("lambda")
    lambda_.update_function_configuration(FunctionName=name, Timeout=8, Description="d")
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    found = lambda_.get_function_configuration(FunctionName=name)

    assert (found["Timeout"], found["Description"], found["MemorySize"]) == (8, "d", 128)
    assert found["Environment"] == {"Variables": {"KEY": "value"}}


def test_wrong_revision_and_second_update_at_once_are_refused(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    stale = refused(lambda_.update_function_configuration, FunctionName=name, Timeout=4, RevisionId="nope")
    assert (stale["Code"], stale["Status"]) == ("PreconditionFailedException", 412)

    answers = []
    for timeout in range(5, 25):
        try:
            lambda_.update_function_configuration(FunctionName=name, Timeout=timeout)
        except ClientError as exc:
            answers.append(exc.response["Error"])
    assert answers
    assert {answer["Code"] for answer in answers} == {"ResourceConflictException"}
    assert answers[0]["Message"].endswith(f"An update is in progress for resource: {arn(name)}")


def test_taken_name_bad_package_and_bad_role_are_refused(stack: PlatformStack) -> None:
    name = stack.deploy(None, ECHO)
    taken = refused(create, stack=stack, name=name)
    assert (taken["Code"], taken["Message"]) == ("ResourceConflictException", f"Function already exist: {name}")
    bad = refused(create, stack=stack, name=fresh(), Code={"ZipFile": b"no zip"})
    assert bad["Message"].startswith("Could not unzip uploaded file.")
    role = refused(create, stack=stack, name=fresh(), Role="r")
    assert role["Code"] == "ValidationException"
    assert role["Message"].startswith("1 validation error detected: Value 'r' at 'role' failed to satisfy constraint: ")
    two = refused(
        create, stack=stack, name=fresh(), Code={"ZipFile": zip_of(ECHO), "S3Bucket": "code", "S3Key": "a.zip"}
    )
    assert two["Message"] == "Please do not provide other FunctionCode parameters when providing a ZipFile."
    missing = refused(create, stack=stack, name=fresh(), Code={})
    assert missing["Message"] == "Please provide a source for function code."


def test_deleted_function_is_gone_at_once(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    stack.invoke(name, 1)
    assert lambda_.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204

    for call in (lambda_.invoke, lambda_.get_function, lambda_.get_function_configuration, lambda_.delete_function):
        error = refused(call, FunctionName=name)
        assert (error["Code"], error["Status"]) == ("ResourceNotFoundException", 404)
        assert error["Message"] == f"Function not found: {arn(name)}"
    stack.deploy(name, SEVEN)
    assert stack.invoke(name)["Payload"] == 7


def test_list_pages_through_all_functions_in_order(stack: PlatformStack) -> None:
    mine = {fresh() for _ in range(5)}
    for name in mine:
        create(stack, name)
    pages = stack.client("lambda").get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [function["FunctionName"] for page in pages for function in page["Functions"]]

    assert listed == sorted(set(listed))
    assert mine <= set(listed)


@pytest.mark.parametrize("form", ["{name}", "{arn}", "000000000000:function:{name}", "function:{name}"])
def test_every_spelling_of_a_name_finds_the_function(stack: PlatformStack, form: str) -> None:
    name = stack.deploy(None, ECHO)
    spelt = form.format(name=name, arn=arn(name))

    assert stack.client("lambda").get_function_configuration(FunctionName=spelt)["FunctionName"] == name


def test_qualifier_latest_shows_in_the_arn_and_others_are_not_found(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")

    assert lambda_.get_function_configuration(FunctionName=name, Qualifier="$LATEST")["FunctionArn"] == (
        f"{arn(name)}:$LATEST"
    )
    assert refused(lambda_.get_function, FunctionName=name, Qualifier="1")["Message"].endswith(f"{arn(name)}:1")
    clash = refused(lambda_.get_function, FunctionName=f"{name}:1", Qualifier="2")
    assert clash["Message"] == "The derived qualifier from the function name does not match the specified qualifier."


def test_other_region_and_other_account_are_out_of_reach(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda")
    region = refused(lambda_.get_function, FunctionName="arn:aws:lambda:eu-west-1:000000000000:function:f")
    account = refused(lambda_.get_function, FunctionName="arn:aws:lambda:us-east-1:111111111111:function:f")

    assert region["Message"] == "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"
    assert (account["Code"], account["Status"]) == ("AccessDeniedException", 403)


def test_new_functions_of_names_over_64_characters_are_refused_in_awss_words(stack: PlatformStack) -> None:
    error = refused(create, stack=stack, name="x" * 65)

    assert error["Code"] == "InvalidParameterValueException"
    assert error["Message"] == (
        f"1 validation error detected: Value '{'x' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64"
    )


def test_operation_that_is_not_offered_is_named_in_awss_error(stack: PlatformStack) -> None:
    error = refused(stack.client("lambda").list_capacity_providers)

    assert (error["Code"], error["Status"]) == ("UnknownOperationException", 404)
    assert "ListCapacityProviders" in error["Message"]
