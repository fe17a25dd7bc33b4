"""`hearth workflows` and `hearth clock` as users run them, against the whole platform."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from redis import Redis

from hearth.store import keys
from tests.support.command import hearth
from tests.support.stack import PlatformStack
from tests.support.waiting import until

YAML = """
StartAt: Greet
States:
  Greet: {Type: Pass, Parameters: {greeting.$: "States.Format('hello {}', $.name)"}, Next: Done}
  Done: {Type: Succeed}
"""


def run(stack: PlatformStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return hearth("workflows", *arguments, env=stack.environ())


def ended(states: Any, execution: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        found = states.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    return dict(until(over))


def last_event(states: Any, execution: str) -> dict[str, Any]:
    return dict(states.get_execution_history(executionArn=execution)["events"][-1])


def test_definition_is_deployed_started_looked_at_and_played_again(stack: PlatformStack, tmp_path: Path) -> None:
    name = f"greet-{uuid.uuid4().hex[:8]}"
    file = tmp_path / f"{name}.yaml"
    file.write_text(YAML)
    deployed = run(stack, "deploy", str(file))
    assert deployed.returncode == 0, deployed.stderr
    started = run(stack, "start", name, '{"name": "you"}', "--wait")
    assert json.loads(started.stdout) == {"greeting": "hello you"}
    assert "Greet" in started.stderr
    (listed,) = json.loads(run(stack, "list", name, "--json").stdout)
    assert run(stack, "list", name).stdout.splitlines()[-1].endswith(listed["executionArn"])
    history = run(stack, "history", listed["executionArn"])
    assert "PassStateExited" in history.stdout
    played = run(stack, "replay", listed["executionArn"])
    assert played.returncode == 0, played.stderr
    file.write_text(YAML.replace("hello", "good day"))
    other = run(stack, "replay", listed["executionArn"], "--definition", str(file))
    assert other.returncode == 1
    assert "good day you" in other.stdout
    drawn = tmp_path / "graph.svg"
    assert run(stack, "graph", str(file), "--svg", str(drawn)).returncode == 0
    assert drawn.read_text().startswith("<svg")
    assert "Greet" in run(stack, "graph", name).stdout
    assert "✔ Greet" in run(stack, "graph", listed["executionArn"]).stdout


def test_broken_definition_is_told_with_line_and_column(stack: PlatformStack, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(YAML.replace("Next: Done", "Next: Gone"))
    answer = run(stack, "deploy", str(file))
    assert answer.returncode == 2
    assert "broken.yaml:4:" in answer.stderr
    assert "Gone" in answer.stderr
    file = tmp_path / "broken.json"
    file.write_text('{"StartAt": "A",\n "States": {"A": {"Type": "Succeed",}}}')
    answer = run(stack, "deploy", str(file))
    assert answer.returncode == 2
    assert "broken.json:2:37: Unexpected character" in answer.stderr


def test_long_wait_ends_and_is_filed_and_forgotten_as_the_clock_is_advanced(stack: PlatformStack) -> None:
    states = stack.client("stepfunctions")
    wait = {"Type": "Wait", "Seconds": 300 * 86_400, "End": True}
    made = states.create_state_machine(
        name=f"wait-{uuid.uuid4().hex[:8]}",
        definition=json.dumps({"StartAt": "W", "States": {"W": wait}}),
        roleArn="arn:aws:iam::000000000000:role/test",
    )
    execution = states.start_execution(stateMachineArn=made["stateMachineArn"])["executionArn"]
    advanced = hearth("clock", "advance", "301d", "--json", env=stack.environ() | stack.servers.environ())
    assert json.loads(advanced.stdout)["advanced_ms"] >= 301 * 86_400_000
    found = ended(states, execution)
    assert found["status"] == "SUCCEEDED"
    assert (found["stopDate"] - found["startDate"]).days >= 300

    # two hours later its history lies in a file, and reads the same
    events = states.get_execution_history(executionArn=execution)["events"]
    hearth("clock", "advance", "2h", env=stack.environ() | stack.servers.environ())
    with Redis.from_url(stack.servers.state_url) as redis:
        until(lambda: not redis.exists(keys.history(execution)))
    assert states.get_execution_history(executionArn=execution)["events"] == events
    backwards = states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=2)["events"]
    assert backwards == events[:-3:-1]

    # ninety days later nothing of it is left
    hearth("clock", "advance", "91d", env=stack.environ() | stack.servers.environ())
    until(lambda: not states.list_executions(stateMachineArn=made["stateMachineArn"])["executions"])
    with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
        states.describe_execution(executionArn=execution)


def test_a_day_of_back_off_passes_as_the_clock_is_advanced(stack: PlatformStack) -> None:
    states = stack.client("stepfunctions")
    activity = states.create_activity(name=f"a-{uuid.uuid4().hex[:12]}")["activityArn"]
    retry = {"ErrorEquals": ["Busy"], "IntervalSeconds": 86_400, "MaxAttempts": 1}
    task = {"Type": "Task", "Resource": activity, "Retry": [retry], "End": True}
    made = states.create_state_machine(
        name=f"retry-{uuid.uuid4().hex[:8]}",
        definition=json.dumps({"StartAt": "T", "States": {"T": task}}),
        roleArn="arn:aws:iam::000000000000:role/test",
    )
    execution = states.start_execution(stateMachineArn=made["stateMachineArn"])["executionArn"]
    first = states.get_activity_task(activityArn=activity)
    states.send_task_failure(taskToken=first["taskToken"], error="Busy")
    until(lambda: last_event(states, execution)["type"] == "ActivityFailed")
    event = last_event(states, execution)
    hearth("clock", "advance", "1d", env=stack.environ() | stack.servers.environ())
    second = states.get_activity_task(activityArn=activity)
    states.send_task_success(taskToken=second["taskToken"], output="1")
    found = ended(states, execution)
    assert (found["status"], found["output"]) == ("SUCCEEDED", "1")
    events = states.get_execution_history(executionArn=execution)["events"]
    (again,) = [one for one in events if one["type"] == "ActivityScheduled" and one["id"] > event["id"]]
    assert (again["timestamp"] - event["timestamp"]).total_seconds() >= 86_400
