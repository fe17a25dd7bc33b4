"""Asynchronous invocations through the whole platform: accepted, run, tried again, dropped with their reasons."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import places
from tests.support.command import hearth
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

#: a run of one function leaves its line in this log group's streams
TELL = """
import json
def handler(event, context):
    print(json.dumps({"ran": event["id"], "request": context.aws_request_id}))
    if event.get("fail"):
        raise ValueError("never " + event["id"])
    return event
"""


@pytest.fixture(scope="module")
def quick(servers: PrivateServers) -> Iterator[PlatformStack]:
    """A platform whose retries follow soon."""
    with (
        places.data_folder() as folder,
        PlatformStack(folder, servers, event_retry_base_seconds=0.5, event_concurrency=2) as running,
    ):
        yield running


def send(stack: PlatformStack, name: str, event: Any, **parameters: Any) -> dict[str, Any]:
    return stack.client("lambda").invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **parameters
    )


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer."""
    limit = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < limit, f"never came: {what}"
        time.sleep(0.1)
    return answer


def runs(stack: PlatformStack, name: str) -> list[dict[str, Any]]:
    """What the function printed, with `timestamp` (epoch ms) added."""
    logs, events = stack.client("logs"), []
    try:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}"):
            events += page["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []  # it has not run yet
    return [
        json.loads(e["message"]) | {"timestamp": e["timestamp"]} for e in events if e["message"].startswith('{"ran')
    ]


def dropped(stack: PlatformStack, name: str) -> list[dict[str, Any]]:
    return json.loads(hearth("events", name, "--json", env=stack.environ() | stack.servers.environ()).stdout)[
        "dropped"
    ]["records"]


def test_event_is_accepted_with_an_empty_answer_and_runs(quick: PlatformStack) -> None:
    name = quick.deploy(None, TELL)
    answer = send(quick, name, {"id": "one"}, LogType="Tail")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert not {"x-amz-executed-version", "x-amz-log-result", "x-amz-function-error"} & set(headers)
    (ran,) = until(lambda: runs(quick, name))
    assert ran["ran"] == "one"
    assert ran["request"] == headers["x-amzn-requestid"]


def test_event_that_always_fails_runs_three_times_at_the_distances_of_the_setting(quick: PlatformStack) -> None:
    name = quick.deploy(None, TELL)
    request = send(quick, name, {"id": "bad", "fail": True})["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    (record,) = until(lambda: dropped(quick, name))
    first, second, third = sorted(run["timestamp"] for run in runs(quick, name))
    # never sooner than the setting says; how much later is the machine's business
    assert second - first >= 500
    assert third - second >= 1000
    assert {run["request"] for run in runs(quick, name)} == {request}
    assert record["requestContext"] == {
        "requestId": request,
        "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == {"id": "bad", "fail": True}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorType"] == "ValueError"
