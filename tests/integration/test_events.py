"""Asynchronous invocations through the whole platform: accepted, run, tried again, dropped with their reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from tests.conftest import missing
from tests.support import places
from tests.support.command import hearth
from tests.support.function_logs import logged
from tests.support.functions import zip_of
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack
from tests.support.waiting import until

#: a run of one function leaves its line in this log group's streams
TELL = """
import json
def handler(event, context):
    print(json.dumps({"ran": event["id"], "request": context.aws_request_id}))
    if event.get("fail"):
        raise ValueError("never " + event["id"])
    return event
"""


#: runs to its end once the function `gate` has a tag
GATED = """
import boto3, json, time
tags = boto3.client("lambda").list_tags
def handler(event, context):
    while not tags(Resource=event["gate"])["Tags"]:
        time.sleep(0.1)
    print(json.dumps({"ran": event["id"]}))
"""
#: one partition of little room, and one event of a function at a time
NARROW = {"event_concurrency": 1, "event_partitions": 1, "event_queue_bytes": 100_000, "placement_wait_seconds": 2}
#: one sandbox for everything, and events whose second attempt would come too late
CRAMPED = NARROW | {
    "account_concurrency": 1,
    "event_max_age_seconds": 60,
    "event_retry_base_seconds": 120,
}


@pytest.fixture(scope="module")
def own_servers() -> Iterator[PrivateServers]:
    if reason := PrivateServers.unavailable():
        missing(reason)
    with places.data_folder() as folder, PrivateServers(folder) as servers:
        yield servers


@pytest.fixture(scope="module")
def alone(request: pytest.FixtureRequest, own_servers: PrivateServers) -> Iterator[PlatformStack]:
    """With these settings, one at a time on servers without another's workers and pollers, which would serve too."""
    with PlatformStack(own_servers.data, own_servers, **request.param) as running:
        yield running


def send(stack: PlatformStack, name: str, event: Any, **parameters: Any) -> dict[str, Any]:
    return stack.client("lambda").invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **parameters
    )


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


def test_event_is_accepted_with_an_empty_answer_and_runs(stack: PlatformStack) -> None:
    name = stack.deploy(None, TELL)
    answer = send(stack, name, {"id": "one"}, LogType="Tail")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert not {"x-amz-executed-version", "x-amz-log-result", "x-amz-function-error"} & set(headers)
    (ran,) = until(lambda: runs(stack, name))
    assert ran["ran"] == "one"
    assert ran["request"] == headers["x-amzn-requestid"]


def test_event_that_always_fails_runs_three_times_at_the_distances_of_the_setting(stack: PlatformStack) -> None:
    name = stack.deploy(None, TELL)
    request = send(stack, name, {"id": "bad", "fail": True})["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    (record,) = until(lambda: dropped(stack, name))
    first, second, third = sorted(run["timestamp"] for run in runs(stack, name))
    # never sooner than the setting says; how much later is the machine's business
    assert second - first >= 500
    assert third - second >= 1000
    assert {run["request"] for run in runs(stack, name)} == {request}
    assert record["requestContext"] == {
        "requestId": request,
        "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == {"id": "bad", "fail": True}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_payload_over_the_limit_of_events_is_refused(stack: PlatformStack) -> None:
    name = stack.deploy(None, TELL)
    body = {"id": "x" * 1_048_576}
    with pytest.raises(ClientError) as caught:
        send(stack, name, body)
    size = len(json.dumps(body))
    assert caught.value.response["Error"] == {
        "Code": "RequestEntityTooLargeException",
        "Message": f"{size} byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    }


def test_largest_payload_runs(stack: PlatformStack) -> None:
    name = stack.deploy(None, "def handler(event, context):\n    print('{\"ran\":', len(event['id']), '}')\n")
    size = 1_048_576 - len(json.dumps({"id": ""}))
    send(stack, name, {"id": "x" * size})
    assert [run["ran"] for run in until(lambda: runs(stack, name))] == [size]


@pytest.mark.parametrize(
    ("payload", "parameters", "code"),
    [
        (b"{nope", {}, "InvalidRequestContentException"),
        (b"{}", {"FunctionName": "no-such-function"}, "ResourceNotFoundException"),
        (b"{}", {"Qualifier": "7"}, "ResourceNotFoundException"),
    ],
)
def test_bad_event_is_refused_as_a_bad_invocation_is(
    stack: PlatformStack, payload: bytes, parameters: dict[str, str], code: str
) -> None:
    given = {"FunctionName": stack.deploy(None, TELL), "Payload": payload, "InvocationType": "Event"}
    with pytest.raises(ClientError) as caught:
        stack.client("lambda").invoke(**(given | parameters))
    assert caught.value.response["Error"]["Code"] == code


def test_event_of_a_deleted_function_is_dropped_with_that_reason(stack: PlatformStack) -> None:
    name = stack.deploy(None, TELL)
    send(stack, name, {"id": "bad", "fail": True})
    until(lambda: runs(stack, name))
    stack.client("lambda").delete_function(FunctionName=name)
    (record,) = until(lambda: dropped(stack, name))
    assert record["requestContext"]["condition"] == "FunctionDeleted"
    assert record["requestContext"]["approximateInvokeCount"] == 1


def test_queued_event_runs_the_code_in_force_when_it_runs(stack: PlatformStack) -> None:
    name = stack.deploy(None, TELL)
    stack.stop("poller")
    send(stack, name, {"id": "queued"})
    stack.client("lambda").update_function_code(
        FunctionName=name, ZipFile=zip_of(TELL.replace('{"ran": event["id"]', '{"ran": "new code"'))
    )
    stack.client("lambda").get_waiter("function_updated_v2").wait(FunctionName=name)
    stack.start("poller")
    assert [run["ran"] for run in until(lambda: runs(stack, name))] == ["new code"]


@pytest.mark.parametrize("alone", [NARROW], indirect=True, ids=["narrow"])
def test_backlog_of_one_function_holds_up_no_other_of_its_partition(alone: PlatformStack) -> None:
    """Two slots' worth of room for one, which is long busy; the others of the only partition go on."""
    stack, servers = alone, alone.environ() | alone.servers.environ()
    other = stack.deploy(None, TELL)
    gate = stack.client("lambda").get_function(FunctionName=other)["Configuration"]["FunctionArn"]
    busy = stack.deploy(None, GATED, Timeout=120, MemorySize=512)
    for number in range(40):
        send(stack, busy, {"id": str(number), "gate": gate})
    send(stack, other, {"id": "other"})
    until(lambda: "other" in [run["ran"] for run in runs(stack, other)])
    assert runs(stack, busy) == []
    left = json.loads(hearth("events", busy, "--json", env=servers).stdout)
    assert sum(left["queued"]["aside"].values()) > 0
    stack.client("lambda").tag_resource(Resource=gate, Tags={"gate": "open"})
    until(lambda: len(runs(stack, busy)) == 40)
    assert sorted(int(run["ran"]) for run in runs(stack, busy)) == list(range(40))
    until(lambda: json.loads(hearth("events", "--json", env=servers).stdout)["queued"]["aside"] == {})


@pytest.mark.parametrize("alone", [NARROW], indirect=True, ids=["narrow"])
def test_full_partition_refuses_and_keeps_what_it_has(alone: PlatformStack) -> None:
    name = alone.deploy(None, TELL)
    alone.stop("poller")
    accepted = []
    with pytest.raises(ClientError) as caught:  # noqa: PT012
        for number in range(100):
            send(alone, name, {"id": str(number), "x": "x" * 10_000})
            accepted.append(str(number))
    assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert "hearth_events_waiting" in metrics_of(alone)
    alone.start("poller")
    until(lambda: len(runs(alone, name)) == len(accepted))
    assert sorted(run["ran"] for run in runs(alone, name)) == sorted(accepted)


@pytest.mark.parametrize("alone", [CRAMPED], indirect=True, ids=["cramped"])
def test_throttled_event_runs_when_there_is_room(alone: PlatformStack) -> None:
    source = "import time\ndef handler(event, context):\n    print('holds')\n    time.sleep(5)\n"
    holder, name = alone.deploy(None, source), alone.deploy(None, TELL)
    with ThreadPoolExecutor(1) as thread:
        patient = alone.client("lambda", retries={"total_max_attempts": 10})
        held = thread.submit(patient.invoke, FunctionName=holder)
        logged(alone, holder, "holds")  # it has the only slot
        send(alone, name, {"id": "patient"})
        (ran,) = until(lambda: runs(alone, name))
        assert ran["ran"] == "patient"
        assert "FunctionError" not in held.result()
    assert dropped(alone, name) == []


@pytest.mark.parametrize("alone", [CRAMPED], indirect=True, ids=["cramped"])
def test_event_too_old_for_another_attempt_is_dropped_at_once(alone: PlatformStack) -> None:
    name = alone.deploy(None, TELL)
    send(alone, name, {"id": "bad", "fail": True})
    (record,) = until(lambda: dropped(alone, name))
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"]["errorMessage"] == "never bad"


def test_metrics_and_command_tell_accepted_and_dropped(stack: PlatformStack) -> None:
    name = stack.deploy(None, TELL)
    sent = hearth("invoke", name, '{"id": "bad", "fail": true}', "--event", env=stack.environ())
    assert sent.returncode == 0, sent.stderr
    (record,) = until(lambda: dropped(stack, name))
    assert record["requestContext"]["requestId"] == sent.stdout.strip()
    figures = metrics_of(stack)
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert f'hearth_events_dropped_total{{function="{arn}",reason="RetriesExhausted"}} 1.0' in figures
    assert "hearth_events_accepted_total" in figures
    shown = hearth("events", name, env=stack.environ() | stack.servers.environ())
    assert shown.returncode == 0, shown.stderr
    assert "RetriesExhausted" in shown.stdout


def metrics_of(stack: PlatformStack) -> str:
    with urlopen(f"{stack.endpoint}/metrics", timeout=10) as answer:
        return str(answer.read().decode())
