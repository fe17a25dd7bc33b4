"""Everything is killed with -9 at once, servers and services, and started again on what lies on the disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.support import places
from tests.support.command import hearth
from tests.support.functions import ECHO
from tests.support.processes import left_of, processes_of
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

EXAMPLES = Path(__file__).parents[2] / "examples" / "workflows"
ROLE = "arn:aws:iam::000000000000:role/test"
DAY_S = 86_400


@contextlib.contextmanager
def platform(folder: Path) -> Iterator[PlatformStack]:
    with PrivateServers(folder) as servers, PlatformStack(folder, servers) as stack:
        yield stack


def create(states: Any, name: str) -> str:
    definition = (EXAMPLES / f"{name}.asl.json").read_text()
    return str(states.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"])


def start(states: Any, machine: str, **input: Any) -> str:
    return str(states.start_execution(stateMachineArn=machine, input=json.dumps(input))["executionArn"])


def types(states: Any, execution: str) -> list[str]:
    return [event["type"] for event in states.get_execution_history(executionArn=execution)["events"]]


def reached(states: Any, execution: str, event: str) -> None:
    until_s = time.monotonic() + 60
    while event not in types(states, execution):
        assert time.monotonic() < until_s, types(states, execution)
        time.sleep(0.05)


def ended(states: Any, execution: str) -> dict[str, Any]:
    until_s = time.monotonic() + 60
    while (found := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < until_s, types(states, execution)
        time.sleep(0.05)
    assert found["status"] == "SUCCEEDED", found
    return dict(json.loads(found["output"]))


@pytest.mark.timeout(400)
def test_long_waits_survive_a_restart_of_everything() -> None:
    if reason := PrivateServers.unavailable():
        missing(reason)
    with places.data_folder() as folder:
        with platform(folder) as stack:
            states = stack.client("stepfunctions")
            stack.deploy("price", ECHO)
            sleeper = start(states, create(states, "long-wait"), seconds=300 * DAY_S)
            asked = start(states, create(states, "human-approval"), items=[])
            reached(states, sleeper, "WaitStateEntered")
            reached(states, asked, "TaskSubmitted")
            events = states.get_execution_history(executionArn=asked)["events"]
            (scheduled,) = [event["taskScheduledEventDetails"] for event in events if event["type"] == "TaskScheduled"]
            token = json.loads(scheduled["parameters"])["Payload"]["token"]
            for process in processes_of(folder):
                with contextlib.suppress(ProcessLookupError):  # it went with its parent
                    os.kill(int(process.split()[0]), signal.SIGKILL)
        with platform(folder) as stack:
            states = stack.client("stepfunctions")
            assert types(states, sleeper)[-1] == "WaitStateEntered"
            assert types(states, asked) == [event["type"] for event in events]
            states.send_task_success(taskToken=token, output=json.dumps({"approved": True}))
            assert ended(states, asked) == {"approved": True}
            assert stack.invoke("price", "again")["Payload"] == "again"
            hearth("clock", "advance", "301d", env=stack.environ() | stack.servers.environ())
            assert ended(states, sleeper) == {"waited": 300 * DAY_S}
        assert left_of(folder) == []
