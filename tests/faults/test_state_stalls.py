"""The durable server hangs for longer than anybody waits, and goes on: what it carried out then is not forgotten."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest

from tests.faults.conftest import Start
from tests.support.functions import ECHO

ROLE = "arn:aws:iam::000000000000:role/test"
EXECUTIONS = 24
TASKS = 8
#: commands are given up after five seconds
STALL_S = 6.5
STALLS = 3


def chain(function: str) -> dict[str, Any]:
    retry = {"ErrorEquals": ["Lambda.ServiceException"], "IntervalSeconds": 1, "MaxAttempts": 10}
    states: dict[str, Any] = {
        f"T{number}": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload": number},
            "Retry": [retry],
            **({"Next": f"T{number + 1}"} if number < TASKS - 1 else {"End": True}),
        }
        for number in range(TASKS)
    }
    return {"StartAt": "T0", "States": states}


@pytest.mark.timeout(600)
def test_executions_go_on_after_the_state_server_has_hung(start: Start) -> None:
    stack = start(workers=1)
    states = stack.client("stepfunctions")
    function = stack.deploy(None, ECHO, MemorySize=256)
    stack.invoke(function, 0)
    machine = states.create_state_machine(name="chain", definition=json.dumps(chain(function)), roleArn=ROLE)
    arn = machine["stateMachineArn"]
    for _ in range(STALLS):
        running = [states.start_execution(stateMachineArn=arn)["executionArn"] for _ in range(EXECUTIONS)]
        pid = stack.servers.pid("state")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STALL_S)
        os.kill(pid, signal.SIGCONT)
        until_s = time.monotonic() + 120
        while left := states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]:
            assert time.monotonic() < until_s, f"{len(left)} still run\n{stack.tails()}"
            time.sleep(0.2)
        statuses = {states.describe_execution(executionArn=one)["status"] for one in running}
        assert statuses == {"SUCCEEDED"}
