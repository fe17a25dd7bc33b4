"""Reserved and provisioned concurrency through the whole platform, by boto3."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.command import hearth
from tests.support.functions import zip_of
from tests.support.stack import PlatformStack
from tests.support.waiting import until

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
#: answers when it ran, on a clock that all sandboxes of the host share, and how its sandbox came to be
TELL = """
import os, time
def handler(event, context):
    began = time.monotonic()
    time.sleep(event.get("s", 0))
    if event.get("exit"):
        os._exit(1)
    kind = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
    return {"began": began, "ended": time.monotonic(), "kind": kind, "version": context.function_version}
"""


def error_of(call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response


def at_once(stack: PlatformStack, name: str, event: dict[str, Any], count: int, **parameters: Any) -> list[Any]:
    """`count` invocations begun together: each one's answer, or the error's response."""

    def one(_number: int) -> Any:
        try:
            return stack.invoke(name, event, **parameters)
        except ClientError as exc:
            return exc.response

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def most_at_once(answers: list[dict[str, Any]]) -> int:
    """From what the function has measured itself."""
    edges = sorted((edge, step) for one in answers for edge, step in ((one["began"], 1), (one["ended"], -1)))
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most


def provision(stack: PlatformStack, name: str, qualifier: str, count: int) -> dict[str, Any]:
    return stack.client("lambda").put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )


def provisioned(stack: PlatformStack, name: str, qualifier: str) -> dict[str, Any]:
    return stack.client("lambda").get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)


def ready(stack: PlatformStack, name: str, qualifier: str) -> dict[str, Any]:
    """Its configuration as soon as it is ready."""
    return until(lambda: (one := provisioned(stack, name, qualifier))["Status"] == "READY" and one)


def publish(stack: PlatformStack, source: str = TELL, **configuration: Any) -> tuple[str, str]:
    """A function and its published version."""
    name = stack.deploy(None, source, **configuration)
    return name, stack.client("lambda").publish_version(FunctionName=name)["Version"]


def kind(stack: PlatformStack, name: str, qualifier: str) -> str:
    return str(stack.invoke(name, {}, Qualifier=qualifier)["Payload"]["kind"])


# --- reserved -----------------------------------------------------------------------------------------------------


def test_reserved_concurrency_is_never_exceeded_and_the_others_are_throttled(stack: PlatformStack) -> None:
    name = stack.deploy(None, TELL, Timeout=30)
    stack.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    answers = at_once(stack, name, {"s": 0.4}, 50)
    ran = [one["Payload"] for one in answers if "Payload" in one]
    throttled = [one for one in answers if "Error" in one]
    assert len(ran) >= 3
    assert most_at_once(ran) <= 3
    assert throttled
    assert Counter((one["Error"]["Code"], one["Reason"]) for one in throttled) == {
        ("TooManyRequestsException", "ReservedFunctionConcurrentInvocationLimitExceeded"): len(throttled)
    }
    assert {one["ResponseMetadata"]["HTTPStatusCode"] for one in throttled} == {429}
    assert {one["Error"]["Message"] for one in throttled} == {"Rate Exceeded."}


def test_reserved_concurrency_is_kept_shown_and_taken_away(stack: PlatformStack) -> None:
    name, client = stack.deploy(None, TELL), stack.client("lambda")
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    put = client.put_function_concurrency(FunctionName=ARN + name, ReservedConcurrentExecutions=7)
    assert put["ReservedConcurrentExecutions"] == 7
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 7
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    gone = client.delete_function_concurrency(FunctionName=name)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    assert "Concurrency" not in client.get_function(FunctionName=name)


@pytest.mark.parametrize(
    ("name", "wanted", "code", "message"),
    [
        ("{name}", 901, "InvalidParameterValueException", "below its minimum value of [100]."),
        ("{name}:$LATEST", 0, "InvalidParameterValueException", "Aliases and versions do not support this operation."),
        ("doesnotexist", 0, "ResourceNotFoundException", f"Function not found: {ARN}doesnotexist:$LATEST"),
    ],
)
def test_reserving_what_can_not_be_had_is_refused(
    stack: PlatformStack, name: str, wanted: int, code: str, message: str
) -> None:
    response = error_of(
        stack.client("lambda").put_function_concurrency,
        FunctionName=name.format(name=stack.deploy(None, TELL)),
        ReservedConcurrentExecutions=wanted,
    )
    assert response["Error"]["Code"] == code
    assert message in response["Error"]["Message"]


def test_reserving_nothing_turns_a_warm_function_off_until_it_is_taken_away(stack: PlatformStack) -> None:
    name, client = stack.deploy(None, TELL), stack.client("lambda")
    stack.invoke(name, {})
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    refused = error_of(client.invoke, FunctionName=name)
    assert refused["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert "retryAfterSeconds" not in refused, "as recorded from AWS"
    client.delete_function_concurrency(FunctionName=name)
    assert stack.invoke(name, {})["Payload"]["version"] == "$LATEST"


def test_lowered_reserved_concurrency_holds_for_sandboxes_that_are_warm(stack: PlatformStack) -> None:
    name, client = stack.deploy(None, TELL, Timeout=30), stack.client("lambda")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=4)
    at_once(stack, name, {"s": 0.5}, 4)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)

    def ran() -> list[Any]:
        return [one["Payload"] for one in at_once(stack, name, {"s": 0.3}, 4) if "Payload" in one]

    until(lambda: most_at_once(ran()) == 1)


# --- provisioned --------------------------------------------------------------------------------------------------


def test_first_calls_of_provisioned_sandboxes_have_no_init(stack: PlatformStack) -> None:
    name, version = publish(stack, Timeout=30)
    put = provision(stack, name, version, 4)
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert {one: put[one] for one in put if one not in ("LastModified", "ResponseMetadata")} == {
        "RequestedProvisionedConcurrentExecutions": 4,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }
    shown = ready(stack, name, version)
    assert shown["AllocatedProvisionedConcurrentExecutions"] == shown["AvailableProvisionedConcurrentExecutions"] == 4
    answers = at_once(stack, name, {"s": 1}, 4, Qualifier=version, LogType="Tail")
    assert {one["Payload"]["kind"] for one in answers} == {"provisioned-concurrency"}
    for one in answers:
        log = base64.b64decode(one["LogResult"]).decode()
        assert "REPORT" in log
        assert "Init Duration" not in log.partition("START")[2]
    bill = json.loads(until(lambda: billed(stack, name)))[0]
    assert (bill["invocations"], bill["cold_starts"]) == (4, 0)
    assert bill["billed_ms"] > 4000, "the four Inits are billed too"


def billed(stack: PlatformStack, name: str) -> str:
    shown = hearth("bill", name, "--json", env=stack.environ() | stack.servers.environ()).stdout
    found = json.loads(shown or "[]")
    return shown if found and found[0]["invocations"] == 4 else ""


def test_calls_beyond_the_provisioned_ones_run_on_demand(stack: PlatformStack) -> None:
    name, version = publish(stack, Timeout=30)
    provision(stack, name, version, 1)
    ready(stack, name, version)

    def ran() -> list[Any]:
        return [one["Payload"] for one in at_once(stack, name, {"s": 0.5}, 2, Qualifier=version)]

    side_by_side = until(lambda: most_at_once(both := ran()) == 2 and both)
    assert Counter(one["kind"] for one in side_by_side) == {"provisioned-concurrency": 1, "on-demand": 1}
    assert kind(stack, name, "$LATEST") == "on-demand"


def test_provisioned_sandbox_that_was_lost_is_made_again(stack: PlatformStack) -> None:
    name, version = publish(stack)
    provision(stack, name, version, 1)
    ready(stack, name, version)
    assert "FunctionError" in stack.invoke(name, {"exit": True}, Qualifier=version)
    until(lambda: kind(stack, name, version) == "provisioned-concurrency")


def test_aliases_that_share_a_version_have_each_what_is_provisioned_for_it(stack: PlatformStack) -> None:
    name, version = publish(stack, Timeout=30)
    for alias in ("blue", "green"):
        stack.client("lambda").create_alias(FunctionName=name, Name=alias, FunctionVersion=version)
        provision(stack, name, alias, 1)
    assert ready(stack, name, "blue")["AvailableProvisionedConcurrentExecutions"] == 1
    assert ready(stack, name, "green")["AvailableProvisionedConcurrentExecutions"] == 1
    answers = at_once(stack, name, {"s": 0.5}, 2, Qualifier="green")
    assert [one["Payload"]["kind"] for one in answers] == ["provisioned-concurrency"] * 2


def test_provisioned_concurrency_moves_with_its_alias(stack: PlatformStack) -> None:
    name, first = publish(stack)
    client = stack.client("lambda")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=first)
    seen = client.get_function_configuration(FunctionName=name, Qualifier=first)["RevisionId"]
    provision(stack, name, "live", 1)
    ready(stack, name, "live")
    stale = error_of(
        client.add_permission,
        FunctionName=name,
        Qualifier=first,
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="*",
        RevisionId=seen,
    )
    assert stale["Error"]["Code"] == "PreconditionFailedException", "a version has a new revision then"
    assert kind(stack, name, first) == kind(stack, name, "live") == "provisioned-concurrency"
    client.update_function_code(FunctionName=name, ZipFile=zip_of(TELL + "# changed\n"))
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    second = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=second)
    until(lambda: kind(stack, name, second) == "provisioned-concurrency")
    until(lambda: kind(stack, name, first) == "on-demand")
    found = client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [one["FunctionArn"] for one in found] == [f"{ARN}{name}:live"]
    missing = error_of(client.get_provisioned_concurrency_config, FunctionName=name, Qualifier=second)
    assert missing["Error"]["Code"] == "ProvisionedConcurrencyConfigNotFoundException"


def test_all_of_the_reserved_concurrency_provisioned_leaves_nothing_on_demand(stack: PlatformStack) -> None:
    name, version = publish(stack)
    client = stack.client("lambda")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert kind(stack, name, "$LATEST") == "on-demand"
    provision(stack, name, version, 1)
    ready(stack, name, version)

    def refused() -> Any:
        try:
            return stack.invoke(name, {}, Qualifier="$LATEST") and None
        except ClientError as exc:
            return exc.response

    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert until(refused)["Reason"] == reason, "the sandbox that was warm before is gone"
    assert kind(stack, name, version) == "provisioned-concurrency"
    lower = error_of(client.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=0)
    assert lower["Error"]["Message"] == (
        " ReservedConcurrentExecutions  0 should not be lower than function's total provisioned concurrency [1]."
    )
    assert "Type" not in lower
    more = error_of(
        client.put_provisioned_concurrency_config,
        FunctionName=name,
        Qualifier=version,
        ProvisionedConcurrentExecutions=2,
    )
    assert more["Error"]["Message"].startswith("Requested Provisioned Concurrency should not be greater than")


def test_version_whose_init_fails_ahead_of_requests_is_given_up_and_runs_on_demand(stack: PlatformStack) -> None:
    fails = 'import os\nif os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] != "on-demand":\n    raise ValueError\n' + TELL
    name, version = publish(stack, fails)
    provision(stack, name, version, 1)
    shown = until(lambda: (one := provisioned(stack, name, version))["Status"] == "FAILED" and one)
    assert shown["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert shown["AllocatedProvisionedConcurrentExecutions"] == 0
    assert kind(stack, name, version) == "on-demand"


def test_provisioned_concurrency_that_is_taken_away_ends_its_sandboxes(stack: PlatformStack) -> None:
    name, version = publish(stack)
    client = stack.client("lambda")
    provision(stack, name, version, 1)
    ready(stack, name, version)
    gone = client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    until(lambda: kind(stack, name, version) == "on-demand")


def test_provisioning_refuses_what_aws_refuses(stack: PlatformStack) -> None:
    name, version = publish(stack)
    client = stack.client("lambda")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)

    def refusal(qualifier: str, count: int = 1, function: str = name) -> tuple[str, str]:
        response = error_of(provision, stack=stack, name=function, qualifier=qualifier, count=count)
        return response["Error"]["Code"], response["Error"]["Message"]

    invalid, missing = "InvalidParameterValueException", "ResourceNotFoundException"
    assert refusal("$LATEST") == (
        invalid,
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    )
    assert refusal("nope") == (missing, f"Cannot find alias arn: {ARN}{name}:nope")
    assert refusal("10") == (missing, f"Function not found: {ARN}{name}:10")
    assert refusal("1", function="doesnotexist") == (missing, f"Function not found: {ARN}doesnotexist:1")
    assert "greater than account's unreserved concurrency [" in refusal(version, 1001)[1]
    provision(stack, name, version, 1)
    assert refusal("live") == (
        "ResourceConflictException",
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
    provision(stack, name, "live", 1)
    assert refusal(version) == ("ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias")
    client.delete_alias(FunctionName=name, Name="live")
    assert client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []
    latest = error_of(client.get_provisioned_concurrency_config, FunctionName=name, Qualifier="$LATEST")
    assert latest["Error"]["Message"] == "The function resource provided must be an alias or a published version."


# --- recursion ----------------------------------------------------------------------------------------------------

AGAIN = """
import boto3, json
client = boto3.client("lambda")
def handler(event, context):
    depth = event["depth"] + 1
    if depth > 20:
        return depth
    try:
        answer = client.invoke(FunctionName=context.function_name, Payload=json.dumps({"depth": depth}))
    except client.exceptions.RecursiveInvocationException as exc:
        return depth
    return json.load(answer["Payload"])
"""


def test_function_that_invokes_itself_is_stopped_unless_it_may(stack: PlatformStack) -> None:
    name, client = stack.deploy(None, AGAIN, Timeout=60), stack.client("lambda")
    assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    assert stack.invoke(name, {"depth": 0})["Payload"] == 16
    assert client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
    assert stack.invoke(name, {"depth": 0})["Payload"] == 21
