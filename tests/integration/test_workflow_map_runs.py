"""Distributed Maps with boto3 against the whole platform: children, counts, results in S3."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/test"
PICKY = "def handler(event, context):\n    if event == 2:\n        raise ValueError(event)\n    return event * 10\n"


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
