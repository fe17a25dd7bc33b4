"""Published versions and aliases, with boto3 against the whole platform."""

from __future__ import annotations

import concurrent.futures
import json
import math
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO, zip_of
from tests.support.stack import PlatformStack

WHO = """import os
def handler(event, context):
    return [os.environ["AWS_LAMBDA_FUNCTION_VERSION"], context.invoked_function_arn.split(":", 7)[7:], TEXT]
"""


def who(text: str) -> str:
    return f"TEXT = {text!r}\n{WHO}"


def refused(call: Any, **parameters: Any) -> dict[str, Any]:
    """{Code, Message, Status} of the error that boto3 raises."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"] | {"Status": answer["ResponseMetadata"]["HTTPStatusCode"]}


def arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def run(stack: PlatformStack, name: str, qualifier: str | None = None, **config: Any) -> tuple[str, Any]:
    """(ExecutedVersion, payload). `config`: of botocore."""
    qualified = {"Qualifier": qualifier} if qualifier else {}
    answer = stack.client("lambda", **config).invoke(FunctionName=name, **qualified)
    assert "FunctionError" not in answer
    return answer["ExecutedVersion"], json.loads(answer["Payload"].read())


def update(stack: PlatformStack, name: str, text: str) -> None:
    stack.client("lambda").update_function_code(FunctionName=name, ZipFile=zip_of(who(text)))
    wait(stack, "function_updated_v2", FunctionName=name)


def wait(stack: PlatformStack, waiter: str, **parameters: Any) -> None:
    """boto3's waiter, asking more often than its own one to five seconds."""
    config = {"Delay": 0.1, "MaxAttempts": 600}
    stack.client("lambda").get_waiter(waiter).wait(**parameters, WaiterConfig=config)


@pytest.fixture(scope="module")
def two(stack: PlatformStack) -> str:
    """A function with versions 1 ("one") and 2 ("two"), and $LATEST ("three")."""
    name, lambda_ = stack.deploy(None, who("one")), stack.client("lambda")
    lambda_.publish_version(FunctionName=name)
    update(stack, name, "two")
    lambda_.publish_version(FunctionName=name)
    update(stack, name, "three")
    return name


def test_each_version_runs_its_own_code_by_whatever_name(stack: PlatformStack, two: str) -> None:
    assert run(stack, two) == ("$LATEST", ["$LATEST", [], "three"])
    assert run(stack, two, "$LATEST") == ("$LATEST", ["$LATEST", ["$LATEST"], "three"])
    for form in (f"{two}:1", f"000000000000:function:{two}:1", f"{arn(two)}:1"):
        assert run(stack, form) == ("1", ["1", ["1"], "one"])
    assert run(stack, arn(two), "2") == ("2", ["2", ["2"], "two"])


def test_qualifiers_that_disagree_or_lead_nowhere_are_refused(stack: PlatformStack, two: str) -> None:
    lambda_ = stack.client("lambda")
    for call in (lambda_.invoke, lambda_.get_function, lambda_.get_function_configuration):
        differ = refused(call, FunctionName=f"{two}:1", Qualifier="2")
        assert (differ["Code"], differ["Message"]) == (
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        )
        for qualifier in ("9", "nobody"):
            unknown = refused(call, FunctionName=two, Qualifier=qualifier)
            assert unknown["Message"] == f"Function not found: {arn(two)}:{qualifier}"
    changed = refused(lambda_.update_function_code, FunctionName=f"{two}:1", ZipFile=zip_of(ECHO))
    assert changed["Message"].startswith("This operation is permitted on Lambda functions only.")


def test_only_a_change_makes_a_new_version(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO, Environment={"Variables": {"KEY": "1"}}), stack.client("lambda")
    before = lambda_.get_function_configuration(FunctionName=name)
    first = lambda_.publish_version(FunctionName=name, Description="first", CodeSha256=before["CodeSha256"])
    again = lambda_.publish_version(FunctionName=name, Description="other")
    after = lambda_.get_function_configuration(FunctionName=name)

    assert (first["Version"], first["Description"], first["FunctionArn"]) == ("1", "first", f"{arn(name)}:1")
    assert (first["State"], first["LastUpdateStatus"]) == ("Active", "Successful")
    assert first.keys() - {"ResponseMetadata"} == before.keys() - {"ResponseMetadata"}
    assert again["RevisionId"] == first["RevisionId"]
    assert len({before["RevisionId"], first["RevisionId"], after["RevisionId"]}) == 3

    # the same values once more are no change, another value is
    for variables, version in (({"KEY": "1"}, "1"), ({"KEY": "2"}, "2")):
        lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        wait(stack, "function_updated_v2", FunctionName=name)
        assert lambda_.publish_version(FunctionName=name)["Version"] == version
    assert lambda_.get_function_configuration(FunctionName=f"{name}:1")["Environment"] == {"Variables": {"KEY": "1"}}


def test_publishing_wants_the_code_and_revision_that_the_caller_has_seen(stack: PlatformStack, two: str) -> None:
    lambda_ = stack.client("lambda")
    sha256 = lambda_.get_function_configuration(FunctionName=two)["CodeSha256"]
    stale = refused(lambda_.publish_version, FunctionName=two, RevisionId=str(uuid.uuid4()))
    wrong = refused(lambda_.publish_version, FunctionName=two, CodeSha256="abc")

    assert (stale["Code"], stale["Status"]) == ("PreconditionFailedException", 412)
    assert wrong["Message"] == (
        f"CodeSHA256 (abc) is different from current CodeSHA256 in $LATEST ({sha256}). Please try again with the "
        "CodeSHA256 in $LATEST."
    )


def test_create_and_update_can_publish(stack: PlatformStack) -> None:
    lambda_, name = stack.client("lambda"), f"v-{uuid.uuid4().hex[:12]}"
    role = "arn:aws:iam::000000000000:role/r"
    made = lambda_.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": zip_of(who("one"))},
        Publish=True,
    )
    wait(stack, "published_version_active", FunctionName=name, Qualifier="1")
    wait(stack, "function_active_v2", FunctionName=name)
    package = zip_of(who("two"))
    updated = lambda_.update_function_code(FunctionName=name, ZipFile=package, Publish=True)
    wait(stack, "published_version_active", FunctionName=name, Qualifier="2")
    wait(stack, "function_updated_v2", FunctionName=name)
    same = lambda_.update_function_code(FunctionName=name, ZipFile=package, Publish=True)

    assert (made["Version"], made["FunctionArn"], made["State"]) == ("1", arn(name), "Pending")
    assert (updated["Version"], updated["FunctionArn"], updated["State"]) == ("2", f"{arn(name)}:2", "Pending")
    assert (same["Version"], same["State"]) == ("2", "Active")
    assert [run(stack, name, version)[1][2] for version in ("1", "2")] == ["one", "two"]


def test_versions_are_listed_in_order_and_in_pages(stack: PlatformStack, two: str) -> None:
    lambda_ = stack.client("lambda")
    pages = list(
        lambda_.get_paginator("list_versions_by_function").paginate(FunctionName=two, PaginationConfig={"PageSize": 2})
    )
    shown = [version for page in pages for version in page["Versions"]]

    assert [len(page["Versions"]) for page in pages] == [2, 1]
    assert [version["Version"] for version in shown] == ["$LATEST", "1", "2"]
    assert [version["FunctionArn"] for version in shown] == [f"{arn(two)}:{q}" for q in ("$LATEST", "1", "2")]
    assert "State" not in shown[0]
    every = lambda_.get_paginator("list_functions").paginate(FunctionVersion="ALL").build_full_result()["Functions"]
    assert [one["Version"] for one in every if one["FunctionName"] == two] == ["$LATEST", "1", "2"]


def test_deleted_version_is_gone_its_number_is_not_given_again(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, who("one")), stack.client("lambda")
    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert run(stack, name, "live") == ("1", ["1", ["live"], "one"])

    held = refused(lambda_.delete_function, FunctionName=name, Qualifier="1")
    assert (held["Code"], held["Message"]) == (
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [live]",
    )
    latest = refused(lambda_.delete_function, FunctionName=f"{name}:$LATEST")
    assert latest["Message"] == "$LATEST version cannot be deleted without deleting the function."
    lambda_.delete_alias(FunctionName=name, Name="live")
    lambda_.delete_function(FunctionName=f"{name}:1")
    lambda_.delete_function(FunctionName=name, Qualifier="1")

    assert refused(lambda_.invoke, FunctionName=f"{name}:1")["Code"] == "ResourceNotFoundException"
    assert lambda_.publish_version(FunctionName=name)["Version"] == "2"
    lambda_.delete_function(FunctionName=name)
    assert refused(lambda_.invoke, FunctionName=f"{name}:2")["Code"] == "ResourceNotFoundException"
    stack.deploy(name, who("new"))
    assert lambda_.publish_version(FunctionName=name)["Version"] == "3"


def test_alias_is_made_moved_and_deleted_and_the_next_request_follows(stack: PlatformStack, two: str) -> None:
    lambda_, alias = stack.client("lambda"), f"a-{uuid.uuid4().hex[:8]}"
    made = lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1", Description="d")
    assert run(stack, two, alias) == ("1", ["1", [alias], "one"])
    assert made["AliasArn"] == f"{arn(two)}:{alias}"
    assert "RoutingConfig" not in made
    taken = refused(lambda_.create_alias, FunctionName=two, Name=alias, FunctionVersion="1")
    assert (taken["Code"], taken["Message"]) == (
        "ResourceConflictException",
        f"Alias already exists: {arn(two)}:{alias}",
    )

    for version, text in (("2", "two"), ("$LATEST", "three"), ("1", "one")):
        moved = lambda_.update_alias(FunctionName=two, Name=alias, FunctionVersion=version)
        assert run(stack, f"{two}:{alias}")[1][2] == text
    assert (moved["FunctionVersion"], moved["Description"]) == ("1", "d")
    found = lambda_.get_function(FunctionName=two, Qualifier=alias)["Configuration"]
    assert (found["Version"], found["FunctionArn"]) == ("1", f"{arn(two)}:{alias}")
    stale = refused(lambda_.update_alias, FunctionName=two, Name=alias, RevisionId=made["RevisionId"])
    assert stale["Code"] == "PreconditionFailedException"
    kept = lambda_.update_alias(FunctionName=two, Name=alias, RevisionId=moved["RevisionId"])
    assert kept["RevisionId"] != moved["RevisionId"]

    lambda_.delete_alias(FunctionName=two, Name=alias)
    lambda_.delete_alias(FunctionName=two, Name=alias)
    assert refused(lambda_.invoke, FunctionName=two, Qualifier=alias)["Code"] == "ResourceNotFoundException"
    assert refused(lambda_.get_alias, FunctionName=two, Name=alias)["Message"] == (
        f"Cannot find alias arn: {arn(two)}:{alias}"
    )
    assert (
        refused(lambda_.update_alias, FunctionName=two, Name=alias)["Message"] == f"Alias not found: {arn(two)}:{alias}"
    )


def test_aliases_are_listed_by_name_and_by_version(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, ECHO), stack.client("lambda")
    lambda_.publish_version(FunctionName=name)
    for alias in ("c", "a", "b"):
        lambda_.create_alias(FunctionName=name, Name=alias, FunctionVersion="1" if alias != "b" else "$LATEST")
    pages = lambda_.get_paginator("list_aliases").paginate(FunctionName=name, PaginationConfig={"PageSize": 2})
    every = [alias["Name"] for page in pages for alias in page["Aliases"]]
    of_one = lambda_.list_aliases(FunctionName=name, FunctionVersion="1")["Aliases"]

    assert every == ["a", "b", "c"]
    assert [alias["Name"] for alias in of_one] == ["a", "c"]


@pytest.mark.parametrize(
    ("version", "weights", "message"),
    [
        ("1", {"1": 0.5, "2": 0.5}, "Number of items in AdditionalVersionWeights cannot be greater than 1"),
        ("$LATEST", {"1": 0.5}, "$LATEST is not supported for an alias pointing to more than 1 version"),
        (
            "1",
            {"1": 0.5},
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        ("9", {}, "Function not found: {arn}:9"),
        ("1", {"9": 0.1}, "Function not found: {arn}:9"),
        (
            "1",
            {"2": 2.0},
            "1 validation error detected: Value '{{2=2.0}}' at 'routingConfig.additionalVersionWeights' failed to "
            "satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
            "Member must have value greater than or equal to 0.0, Member must not be null]",
        ),
    ],
)
def test_routing_that_leads_nowhere_is_refused_in_awss_words(
    stack: PlatformStack, two: str, version: str, weights: dict[str, float], message: str
) -> None:
    found = refused(
        stack.client("lambda").create_alias,
        FunctionName=two,
        Name="wrong",
        FunctionVersion=version,
        RoutingConfig={"AdditionalVersionWeights": weights},
    )
    assert found["Message"] == message.format(arn=arn(two))


def test_weighted_alias_shares_requests_out_by_its_weights(stack: PlatformStack, two: str) -> None:
    calls, weight = 5_000, 0.1
    lambda_ = stack.client("lambda")
    lambda_.create_alias(
        FunctionName=two,
        Name="weighted",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": weight}},
    )

    def one(_: int) -> str:
        # asked again as SDKs do: what is shown is the share, not that each connection holds (tests/load shows that)
        version, payload = run(stack, two, "weighted", retries={"total_max_attempts": 3})
        assert payload == [version, ["weighted"], {"1": "one", "2": "two"}[version]]
        return version

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(one, range(calls)))

    deviation = math.sqrt(calls * weight * (1 - weight))
    assert abs(seen.count("2") - calls * weight) < 5 * deviation
