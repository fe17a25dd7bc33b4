"""Invoke and what its caller sees, with boto3 against the whole platform."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

DESCRIBE = """
import os

def handler(event, context):
    print("seen", event)
    custom = context.client_context.custom if context.client_context else None
    return {"id": context.aws_request_id, "arn": context.invoked_function_arn, "custom": custom,
            "variable": os.environ.get("VARIABLE")}
"""
RAISE = "def handler(event, context):\n    raise ValueError('no good')\n"


@pytest.fixture(scope="module")
def echo(stack: PlatformStack) -> str:
    return stack.deploy(None, ECHO)


@pytest.fixture(scope="module")
def describe(stack: PlatformStack) -> str:
    return stack.deploy(None, DESCRIBE, Environment={"Variables": {"VARIABLE": "wert ü"}})


def refused(call: Any, **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response


def test_answer_carries_version_request_id_and_trace(stack: PlatformStack, describe: str) -> None:
    answer = stack.invoke(describe, {"a": 1})
    headers = answer["ResponseMetadata"]["HTTPHeaders"]

    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["Payload"]["id"] == headers["x-amzn-requestid"]
    assert answer["Payload"]["variable"] == "wert ü"
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert "FunctionError" not in answer
    assert "LogResult" not in answer


def test_tail_client_context_and_qualifier_reach_the_function(stack: PlatformStack, describe: str) -> None:
    context = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
    answer = stack.invoke(describe, {"a": 1}, LogType="Tail", ClientContext=context, Qualifier="$LATEST")
    tail = base64.b64decode(answer["LogResult"]).decode()

    assert answer["Payload"]["custom"] == {"k": "v"}
    assert answer["Payload"]["arn"].endswith(f":function:{describe}:$LATEST")
    assert "seen {'a': 1}\n" in tail
    assert f"REPORT RequestId: {answer['Payload']['id']}" in tail


@pytest.mark.parametrize("payload", ["0", '"x"', "null", "[]", '{"ü": "\\u0000"}', " { } "])
def test_any_json_is_passed_through(stack: PlatformStack, echo: str, payload: str) -> None:
    answer = stack.client("lambda").invoke(FunctionName=echo, Payload=payload.encode())

    assert json.loads(answer["Payload"].read()) == json.loads(payload)


def test_no_payload_is_an_empty_event(stack: PlatformStack, echo: str) -> None:
    assert stack.client("lambda").invoke(FunctionName=echo)["Payload"].read() == b"{}"


def test_five_megabytes_come_back_whole(stack: PlatformStack, echo: str) -> None:
    text = "ü" + "x" * 5_000_000

    assert stack.invoke(echo, text)["Payload"] == text


def test_handler_error_is_a_200_with_awss_document(stack: PlatformStack) -> None:
    answer = stack.invoke(stack.deploy(None, RAISE), {})

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"]["errorType"] == "ValueError"
    assert answer["Payload"]["errorMessage"] == "no good"


def test_dry_run_checks_and_runs_nothing(stack: PlatformStack, describe: str) -> None:
    answer = stack.client("lambda").invoke(FunctionName=describe, InvocationType="DryRun")

    assert answer["StatusCode"] == 204
    assert "ExecutedVersion" not in answer
    missing = refused(stack.client("lambda").invoke, FunctionName="absent", InvocationType="DryRun")
    assert missing["Error"]["Code"] == "ResourceNotFoundException"


def test_payload_that_is_no_json_is_refused(stack: PlatformStack, echo: str) -> None:
    error = refused(stack.client("lambda").invoke, FunctionName=echo, Payload=b"{nope")

    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Error"]["Code"] == "InvalidRequestContentException"
    assert error["Error"]["Message"].startswith(
        "Could not parse request body into json: Could not parse payload into json: "
    )


def test_payload_over_six_megabytes_is_refused(stack: PlatformStack, echo: str) -> None:
    payload = b'"' + b"x" * 6_291_455 + b'"'
    error = refused(stack.client("lambda").invoke, FunctionName=echo, Payload=payload)
    huge = refused(stack.client("lambda").invoke, FunctionName=echo, Payload=b'"' + b"x" * 12_000_000 + b'"')

    assert error["ResponseMetadata"]["HTTPStatusCode"] == huge["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert error["Error"]["Code"] == "RequestEntityTooLargeException"
    assert error["Error"]["Message"] == (
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
    )
    assert huge["Error"]["Message"] == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"


@pytest.mark.parametrize("context", ["%%%", base64.b64encode(b"[]").decode(), base64.b64encode(b"{").decode()])
def test_bad_client_context_is_refused(stack: PlatformStack, echo: str, context: str) -> None:
    error = refused(stack.client("lambda").invoke, FunctionName=echo, ClientContext=context)

    assert error["Error"]["Message"] == "Client context must be a valid Base64-encoded JSON object."


def test_function_calls_the_platform_with_its_own_credentials(stack: PlatformStack) -> None:
    source = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"
    name = stack.deploy(None, source, Timeout=30, MemorySize=512)

    assert stack.invoke(name)["Payload"] == f"arn:aws:sts::000000000000:assumed-role/test/{name}"


def test_printed_lines_are_in_the_logs_api(stack: PlatformStack, describe: str) -> None:
    request_id = stack.invoke(describe, {"marker": "logs"})["Payload"]["id"]
    logs, group = stack.client("logs"), f"/aws/lambda/{describe}"

    found = eventually(lambda: logs.filter_log_events(logGroupName=group, filterPattern=f'"{request_id}"')["events"], 3)
    stream = found[0]["logStreamName"]
    messages = [event["message"] for event in logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]]

    assert [event["message"].split()[0] for event in found] == ["START", "END", "REPORT"]
    assert "seen {'marker': 'logs'}\n" in messages
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [one["logGroupName"] for one in groups] == [group]
    streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    assert stream in [one["logStreamName"] for one in streams]


def test_log_events_are_paged_both_ways(stack: PlatformStack) -> None:
    source = "def handler(event, context):\n    for n in range(20):\n        print('line', n)\n"
    name = stack.deploy(None, source)
    stack.invoke(name)
    logs, group = stack.client("logs"), f"/aws/lambda/{name}"
    eventually(lambda: logs.filter_log_events(logGroupName=group, filterPattern="REPORT")["events"], 1)
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    where = {"logGroupName": group, "logStreamName": stream, "limit": 7}

    forward, token = [], None
    page = logs.get_log_events(**where, startFromHead=True)
    while page["nextForwardToken"] != token:
        forward += page["events"]
        token = page["nextForwardToken"]
        page = logs.get_log_events(**where, startFromHead=True, nextToken=token)
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 7})
    filtered = [event["message"] for page in pages for event in page["events"]]

    lines = [event["message"] for event in forward]
    assert [line for line in lines if line.startswith("line")] == [f"line {n}\n" for n in range(20)]
    assert filtered == lines
    last = logs.get_log_events(**where)["events"]
    assert [event["message"] for event in last] == lines[-7:]


def test_unknown_group_and_stream_are_not_found(stack: PlatformStack, describe: str) -> None:
    logs = stack.client("logs")
    group = refused(logs.describe_log_streams, logGroupName="/absent")

    assert group["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "The specified log group does not exist.",
    }


def eventually(read: Any, count: int) -> Any:
    """The log reaches the disk a moment after the answer: ask until `count` items are there."""
    until = time.monotonic() + 60
    while True:
        try:
            found = read()
        except ClientError:
            found = []
        if len(found) >= count or time.monotonic() > until:
            return found
        time.sleep(0.1)
