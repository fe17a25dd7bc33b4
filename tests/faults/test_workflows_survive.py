"""Standard executions while whoever runs them is killed: all end, no task runs twice, every history is whole."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
import uuid
from collections import Counter
from typing import Any

import pytest

from hearth.asl.parse import parse_definition
from orchestrator.core.replay import read_history, replay
from orchestrator.core.state import Identity
from tests.faults.conftest import Start
from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/test"
EXECUTIONS = 300
TASKS = 10
#: from one kill to the next
KILL_EVERY_S = 3.0
#: then what is left may end in peace: two minutes of kills meet every one of them
MOST_KILLS = 40
#: fewer would say that the executions were over before they were tried
LEAST_KILLS = 8
#: however fast the machine: so long one task runs, and so many run at once
TASK_S = 0.2
#: since the last kill, all must have ended
END_S = 300.0
#: a task whose worker or orchestrator was lost is told so; whoever wants it again says Retry
LOST = {"Lambda.ServiceException", "States.TaskFailed"}

#: each run leaves a record outside of itself that outlives every process: an activity of its own name
COUNTED = f"""
import boto3, time, uuid
states = boto3.client("stepfunctions")
def handler(event, context):
    run = [event["prefix"], event["execution"], str(event["task"]), uuid.uuid4().hex[:8]]
    states.create_activity(name=".".join(run))
    time.sleep({TASK_S})
    return event["task"]
"""


def chain(function: str, prefix: str) -> dict[str, Any]:
    states: dict[str, Any] = {}
    for number in range(TASKS):
        states[f"T{number}"] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {
                "FunctionName": function,
                "Payload": {"prefix": prefix, "execution.$": "$$.Execution.Name", "task": number},
            },
            "ResultPath": None,
            **({"Next": f"T{number + 1}"} if number < TASKS - 1 else {"End": True}),
        }
    return {"StartAt": "T0", "States": states}


class Killer:
    """Kills in turn, and sees to it that what no supervisor starts again is started."""

    def __init__(self, stack: PlatformStack) -> None:
        self._stack = stack
        self._turns = itertools.cycle(["orchestrator", "worker", "orchestrator-2", "worker"])
        self._next_s = time.monotonic() + KILL_EVERY_S
        self.kills: Counter[str] = Counter()
        self.broker_kills = 0

    def kill_if_due(self) -> bool:
        if time.monotonic() < self._next_s or self.kills.total() >= MOST_KILLS:
            return False
        self._kill()
        self._next_s = time.monotonic() + KILL_EVERY_S
        return True

    def _kill(self) -> None:
        kind = next(self._turns)
        if kind == "worker":
            pids = self._stack.pids("worker")
            if pids:
                os.kill(pids[0], signal.SIGKILL)
        else:
            self._stack.kill(kind)
            self._stack.revive("orchestrator", kind)
        self.kills[kind] += 1

    def kill_broker(self) -> None:
        os.kill(self._stack.servers.pid("broker"), signal.SIGKILL)
        self.broker_kills += 1


def wait_for_broker(stack: PlatformStack, function: str) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            payload = json.dumps({"prefix": "probe", "execution": "x", "task": 0})
            stack.client("lambda").invoke(FunctionName=function, Payload=payload)
            return
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


@pytest.mark.timeout(900)
def test_executions_survive_the_death_of_everything_that_runs_them(start: Start) -> None:
    stack = start(workers=2)
    stack.start("orchestrator", "orchestrator-2")
    states = stack.client("stepfunctions")
    prefix = uuid.uuid4().hex[:8]
    function = stack.deploy(None, COUNTED, Timeout=30, MemorySize=512)
    wait_for_broker(stack, function)
    definition = chain(function, prefix)
    machine = states.create_state_machine(name="survivors", definition=json.dumps(definition), roleArn=ROLE)
    arn = machine["stateMachineArn"]
    killer = Killer(stack)
    running = []
    for number in range(EXECUTIONS):
        running.append(states.start_execution(stateMachineArn=arn, name=f"e{number}")["executionArn"])
        killer.kill_if_due()

    until_s = time.monotonic() + END_S
    while left := _running(states, arn):
        assert time.monotonic() < until_s, f"{left} still run\n{stack.tails()}"
        done = EXECUTIONS - left
        if killer.broker_kills < 2 and done >= (killer.broker_kills + 1) * EXECUTIONS // 4:
            killer.kill_broker()
            wait_for_broker(stack, function)
            until_s = time.monotonic() + END_S
        elif left > EXECUTIONS // 10 and killer.kill_if_due():
            until_s = time.monotonic() + END_S
        time.sleep(0.2)

    assert killer.broker_kills == 2
    assert killer.kills.total() >= LEAST_KILLS
    ran = _runs(states, prefix)
    assert {task: times for task, times in ran.items() if times > 1} == {}
    outcomes = Counter(_judge(states, definition, execution, ran) for execution in running)
    print(f"outcomes {dict(outcomes)}, kills {dict(killer.kills)}")
    assert outcomes["SUCCEEDED"] > 0


def _running(states: Any, machine: str) -> int:
    found = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1000)
    return len(found["executions"])


def _runs(states: Any, prefix: str) -> Counter[tuple[str, str]]:
    """(execution, task) -> how often it ran."""
    pages = states.get_paginator("list_activities").paginate(maxResults=1000)
    names = [one["name"].split(".") for page in pages for one in page["activities"]]
    return Counter((name[1], name[2]) for name in names if name[0] == prefix)


def _judge(states: Any, definition: dict[str, Any], execution: str, ran: Counter[tuple[str, str]]) -> str:
    """How it ended; its history is whole, and one that the core would write."""
    described = states.describe_execution(executionArn=execution)
    events = states.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    identity = Identity(execution, described["name"], ROLE, described["stateMachineArn"], "survivors", 0, "")
    steps = replay(parse_definition(json.dumps(definition)), identity, read_history(events))
    assert [step.instead for step in steps if step.instead] == []
    assert len(steps) == len(events)
    name = described["name"]
    if described["status"] == "SUCCEEDED":
        assert [ran[name, str(task)] for task in range(TASKS)] == [1] * TASKS
        return "SUCCEEDED"
    assert described["status"] == "FAILED"
    assert described["error"] in LOST, described
    assert events[-1]["type"] == "ExecutionFailed"
    return f"FAILED {described['error']}"
