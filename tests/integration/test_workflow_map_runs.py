"""Distributed Maps with boto3 against the whole platform: children, counts, results in S3, redrive."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.companion import CompanionServer
from tests.support.functions import zip_of
from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/test"
PICKY = "def handler(event, context):\n    if event == 2:\n        raise ValueError(event)\n    return event * 10\n"
PATIENT = "def handler(event, context):\n    return event * 100\n"


@pytest.fixture
def states(stack: PlatformStack) -> Any:
    return stack.client("stepfunctions", inject_host_prefix=False)


def started(states: Any, function: str, items: list[Any], **members: Any) -> str:
    """An execution of a distributed Map that calls the function for each item."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "End": True,
    }
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Call",
        "States": {"Call": task},
    }
    state = {"Type": "Map", "Label": "each", "ItemProcessor": processor, "End": True, **members}
    machine = states.create_state_machine(
        name=f"m-{uuid.uuid4().hex[:12]}",
        definition=json.dumps({"StartAt": "Each", "States": {"Each": state}}),
        roleArn=ROLE,
    )["stateMachineArn"]
    return str(states.start_execution(stateMachineArn=machine, input=json.dumps(items))["executionArn"])


def ended(states: Any, arn: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < until, states.get_execution_history(executionArn=arn)["events"]
        time.sleep(0.02)
    return dict(found)


def test_children_that_failed_are_repeated_by_a_redrive_and_no_others(stack: PlatformStack, states: Any) -> None:
    function = stack.deploy(None, PICKY)
    arn = started(states, function, [1, 2, 3])
    found = ended(states, arn)
    assert (found["status"], found["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    lambda_ = stack.client("lambda")
    lambda_.update_function_code(FunctionName=function, ZipFile=zip_of(PATIENT))
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=function)
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    assert states.describe_map_run(mapRunArn=run["mapRunArn"])["status"] == "FAILED"

    def settled() -> dict[str, str]:
        listed = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
        return {one["executionArn"]: one["status"] for one in listed}

    until = time.monotonic() + 60
    while "RUNNING" in settled().values() and time.monotonic() < until:
        time.sleep(0.05)  # siblings that the failure found running are being stopped
    before = settled()
    states.redrive_execution(executionArn=arn)
    found = ended(states, arn)
    outputs = json.loads(found["output"])
    assert outputs[1] == 200
    # what had succeeded keeps its result; a sibling that was stopped has run again
    kept = [output for output, item in zip(outputs, (1, 2, 3), strict=True) if output == item * 10]
    assert len(kept) == list(before.values()).count("SUCCEEDED")
    after = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert {one["executionArn"] for one in after} >= set(before)
    redriven = {one["executionArn"]: one.get("redriveCount", 0) for one in after}
    for child, status in before.items():
        assert redriven[child] == (0 if status == "SUCCEEDED" else 1)
    described = states.describe_map_run(mapRunArn=run["mapRunArn"])
    assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
    types = [event["type"] for event in states.get_execution_history(executionArn=arn)["events"]]
    assert types.count("MapRunRedriven") == 1


def test_redrive_waits_for_children_that_are_being_stopped(states: Any) -> None:
    rule = {"Variable": "$", "NumericEquals": 0, "Next": "No"}
    inner = {
        "Which": {"Type": "Choice", "Choices": [rule], "Default": "Long"},
        "No": {"Type": "Fail", "Error": "No"},
        "Long": {"Type": "Wait", "Seconds": 86_400, "End": True},
    }
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Which",
        "States": inner,
    }
    state = {"Type": "Map", "Label": "each", "ItemProcessor": processor, "End": True}
    machine = states.create_state_machine(
        name=f"m-{uuid.uuid4().hex[:12]}",
        definition=json.dumps({"StartAt": "Each", "States": {"Each": state}}),
        roleArn=ROLE,
    )["stateMachineArn"]
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps([*range(1, 40), 0]))["executionArn"]
    assert ended(states, arn)["status"] == "FAILED"
    states.redrive_execution(executionArn=arn)
    assert ended(states, arn)["status"] == "FAILED"
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    until = time.monotonic() + 60
    while children := states.list_executions(mapRunArn=run["mapRunArn"], statusFilter="RUNNING")["executions"]:
        assert time.monotonic() < until, children
        time.sleep(0.05)
    children = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert len(children) == 40
    assert {one.get("redriveCount") for one in children} == {1}
    assert {one["status"] for one in children} == {"FAILED", "ABORTED"}

    child = children[0]["executionArn"]
    assert states.describe_execution(executionArn=child)["redriveStatus"] == "REDRIVABLE_BY_MAP_RUN"
    with pytest.raises(ClientError) as refused:
        states.redrive_execution(executionArn=child)
    assert refused.value.response["Error"]["Code"] == "ExecutionNotRedrivable"


def test_results_are_written_to_s3(stack: PlatformStack, states: Any) -> None:
    function = stack.deploy(None, PICKY)
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "results", "Prefix": "runs"}}
    with CompanionServer(stack.companion_port) as companion:
        s3 = companion.client("s3")
        s3.create_bucket(Bucket="results")
        arn = started(states, function, [1, 2, 3], ResultWriter=writer, ToleratedFailureCount=1)
        output = json.loads(ended(states, arn)["output"])
        details = output["ResultWriterDetails"]
        assert details["Key"] == f"runs/{output['MapRunArn'].rpartition(':')[2]}/manifest.json"

        def read(key: str) -> Any:
            return json.loads(s3.get_object(Bucket="results", Key=key)["Body"].read())

        files = read(details["Key"])["ResultFiles"]
        assert [entry["Output"] for entry in read(files["SUCCEEDED"][0]["Key"])] == ["10", "30"]
        (failed,) = read(files["FAILED"][0]["Key"])
        assert (failed["Error"], failed["Input"]) == ("ValueError", "2")
    described = states.describe_map_run(mapRunArn=output["MapRunArn"])
    assert described["itemCounts"]["succeeded"] == 2
    assert described["itemCounts"]["failed"] == 1
