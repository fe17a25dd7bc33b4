"""Standard and Express executions, with boto3 against the whole platform."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/test"


@pytest.fixture
def states(stack: PlatformStack) -> Any:
    return stack.client("stepfunctions", inject_host_prefix=False)


def machine(states: Any, definition: dict[str, Any], **given: Any) -> str:
    made = states.create_state_machine(
        name=f"m-{uuid.uuid4().hex[:12]}", definition=json.dumps(definition), roleArn=ROLE, **given
    )
    return str(made["stateMachineArn"])


def ended(states: Any, arn: str, wait_s: float = 60.0) -> dict[str, Any]:
    until = time.monotonic() + wait_s
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < until, states.get_execution_history(executionArn=arn)["events"]
        time.sleep(0.02)
    return dict(found)


def run(states: Any, definition: dict[str, Any], given: Any = None) -> dict[str, Any]:
    arn = machine(states, definition)
    started = states.start_execution(stateMachineArn=arn, input=json.dumps(given if given is not None else {}))
    return ended(states, started["executionArn"])


def history(states: Any, arn: str) -> list[tuple[int, int, str]]:
    events = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
    return [(event["id"], event["previousEventId"], event["type"]) for event in events]


def test_chain_of_states_ends_with_its_output_and_its_history(states: Any) -> None:
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Result": {"n": 1}, "ResultPath": "$.a", "Next": "B"},
            "B": {"Type": "Choice", "Choices": [{"Variable": "$.a.n", "NumericEquals": 1, "Next": "C"}]},
            "C": {"Type": "Succeed"},
        },
    }
    found = run(states, definition, {"x": 2})
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"x": 2, "a": {"n": 1}})
    assert found["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven"
    assert history(states, found["executionArn"]) == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "PassStateEntered"),
        (3, 2, "PassStateExited"),
        (4, 3, "ChoiceStateEntered"),
        (5, 4, "ChoiceStateExited"),
        (6, 5, "SucceedStateEntered"),
        (7, 6, "SucceedStateExited"),
        (8, 7, "ExecutionSucceeded"),
    ]


def test_started_twice_by_a_name_is_one_execution_while_it_runs(states: Any) -> None:
    arn = machine(states, {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}})
    first = states.start_execution(stateMachineArn=arn, name="once", input='{"a": 1}')
    again = states.start_execution(stateMachineArn=arn, name="once", input='{"a": 1}')
    assert again["executionArn"] == first["executionArn"]
    assert again["startDate"] == first["startDate"]
    with pytest.raises(ClientError, match="Execution Already Exists"):
        states.start_execution(stateMachineArn=arn, name="once", input='{"a": 2}')
    states.stop_execution(executionArn=first["executionArn"], error="E", cause="C")
    found = ended(states, first["executionArn"])
    assert (found["status"], found["error"], found["cause"]) == ("ABORTED", "E", "C")
    listed = states.list_executions(stateMachineArn=arn, statusFilter="ABORTED")["executions"]
    assert [one["name"] for one in listed] == ["once"]


def test_wait_is_over_when_its_time_has_come(states: Any) -> None:
    found = run(states, {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}})
    assert found["status"] == "SUCCEEDED"
    assert (found["stopDate"] - found["startDate"]).total_seconds() >= 1


def test_machine_timeout_ends_an_execution(states: Any) -> None:
    wait = {"Type": "Wait", "Seconds": 600, "End": True}
    found = run(states, {"TimeoutSeconds": 1, "StartAt": "W", "States": {"W": wait}})
    assert found["status"] == "TIMED_OUT"
    assert "error" not in found


def test_synchronous_express_execution_answers_with_its_output(states: Any) -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"n": 1}, "End": True}}}
    arn = machine(states, definition, type="EXPRESS")
    found = states.start_sync_execution(stateMachineArn=arn, input="{}")
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"n": 1})
    assert found["billingDetails"] == {"billedDurationInMilliseconds": 100, "billedMemoryUsedInMB": 64}
    with pytest.raises(ClientError, match="StateMachineTypeNotSupported"):
        states.list_executions(stateMachineArn=arn)
    assert ":express:" in states.start_execution(stateMachineArn=arn)["executionArn"]


TASK = """
import os
def handler(event, context):
    if event.get("fail"):
        raise ValueError("no")
    return {"seen": event}
"""


def test_function_is_a_task_and_its_error_is_caught(stack: PlatformStack, states: Any) -> None:
    name = stack.deploy(None, TASK)
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Task", "Resource": function, "ResultPath": "$.first", "Next": "B"},
            "B": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": name, "Payload": {"fail": True}},
                "Catch": [{"ErrorEquals": ["ValueError"], "ResultPath": "$.caught", "Next": "C"}],
                "End": True,
            },
            "C": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": name, "LogType": "Tail", "Payload": {}},
                "ResultPath": "$.logged",
                "End": True,
            },
        },
    }
    found = run(states, definition, {"x": 1})
    output = json.loads(found["output"])
    assert output["first"] == {"seen": {"x": 1}}
    assert output["caught"]["Error"] == "ValueError"
    assert json.loads(output["caught"]["Cause"])["errorMessage"] == "no"
    log = output["logged"]["LogResult"]
    assert "REPORT RequestId" in base64.b64decode(log).decode()
    assert output["logged"]["SdkHttpMetadata"]["HttpHeaders"]["X-Amz-Log-Result"] == log


def test_activity_worker_answers_with_its_token(states: Any) -> None:
    activity = states.create_activity(name=f"a-{uuid.uuid4().hex[:8]}")["activityArn"]
    definition = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity, "End": True}}}
    arn = machine(states, definition)
    execution = states.start_execution(stateMachineArn=arn, input='{"n": 5}')["executionArn"]
    task = states.get_activity_task(activityArn=activity, workerName="me")
    assert json.loads(task["input"]) == {"n": 5}
    states.send_task_heartbeat(taskToken=task["taskToken"])
    states.send_task_success(taskToken=task["taskToken"], output='{"done": true}')
    found = ended(states, execution)
    assert json.loads(found["output"]) == {"done": True}
    assert [kind for _, _, kind in history(states, execution)][2:5] == [
        "ActivityScheduled",
        "ActivityStarted",
        "ActivitySucceeded",
    ]
    with pytest.raises(ClientError, match="TaskTimedOut"):
        states.send_task_success(taskToken=task["taskToken"], output="{}")


def test_nested_execution_hands_its_output_to_its_parent(states: Any) -> None:
    child = machine(
        states, {"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"got.$": "$.x"}, "End": True}}}
    )
    definition = {
        "StartAt": "N",
        "States": {
            "N": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Parameters": {"StateMachineArn": child, "Input": {"x": 7}},
                "ResultSelector": {"output.$": "$.Output"},
                "End": True,
            }
        },
    }
    found = run(states, definition)
    assert json.loads(found["output"]) == {"output": {"got": 7}}
    types = [kind for _, _, kind in history(states, found["executionArn"])]
    assert types[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]


def test_distributed_map_runs_children_and_counts_them(states: Any) -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    definition = {
        "StartAt": "M",
        "States": {"M": {"Type": "Map", "Label": "each", "ItemProcessor": processor, "End": True}},
    }
    found = run(states, definition, [{"n": n} for n in range(5)])
    assert json.loads(found["output"]) == [{"n": n} for n in range(5)]
    (listed,) = states.list_map_runs(executionArn=found["executionArn"])["mapRuns"]
    described = states.describe_map_run(mapRunArn=listed["mapRunArn"])
    assert (described["status"], described["executionCounts"]["succeeded"]) == ("SUCCEEDED", 5)
    children = states.list_executions(mapRunArn=listed["mapRunArn"])["executions"]
    assert {child["status"] for child in children} == {"SUCCEEDED"}
    assert len(children) == 5


def test_failed_execution_is_redriven_where_it_failed(stack: PlatformStack, states: Any) -> None:
    activity = states.create_activity(name=f"a-{uuid.uuid4().hex[:8]}")["activityArn"]
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Next": "B"},
            "B": {"Type": "Task", "Resource": activity, "End": True},
        },
    }
    arn = machine(states, definition)
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    states.send_task_failure(taskToken=states.get_activity_task(activityArn=activity)["taskToken"], error="E")
    assert ended(states, execution)["redriveStatus"] == "REDRIVABLE"
    states.redrive_execution(executionArn=execution)
    token = states.get_activity_task(activityArn=activity)["taskToken"]
    states.send_task_success(taskToken=token, output="1")
    found = ended(states, execution)
    assert (found["status"], found["redriveCount"], found["output"]) == ("SUCCEEDED", 1, "1")
    assert "ExecutionRedriven" in [kind for _, _, kind in history(states, execution)]


def test_redrive_that_is_asked_for_again_is_the_same_by_its_token_and_refused_without(states: Any) -> None:
    arn = machine(states, {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 86_400, "End": True}}})
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    states.stop_execution(executionArn=execution)
    ended(states, execution)

    first = states.redrive_execution(executionArn=execution, clientToken="one")["redriveDate"]
    assert states.redrive_execution(executionArn=execution, clientToken="one")["redriveDate"] == first
    with pytest.raises(ClientError) as refused:
        states.redrive_execution(executionArn=execution, clientToken="other")
    assert refused.value.response["Error"] == {
        "Code": "ExecutionNotRedrivable",
        "Message": "Execution is RUNNING and cannot be redriven",
    }
    (running,) = states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]
    assert (running["executionArn"], running["redriveCount"]) == (execution, 1)
    states.stop_execution(executionArn=execution)
    assert ended(states, execution)["status"] == "ABORTED"
