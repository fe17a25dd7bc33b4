"""What was accepted survives the death of containers."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from tests.compose.stack import HEAL_S, ROLE, Stack, persistently, require, say

EVENTS, EXECUTIONS, RECORDS = 60, 20, 100
#: events that must be running when their worker dies are handed over within this, and run twice as long
RUNNING_S = 6.0
ACCEPTED_S = 300.0


def loses_nothing_accepted(stack: Stack) -> None:
    """One workers container, then the broker's, die while events, executions and records are handed over.

    The events of the first part are still running when their worker dies: one that had just ended would have run,
    but the fifth of a second of log that tells of it dies with the worker.
    """
    stack.up(workers=3, gateway=1)
    accepted: set[str] = set()
    executions: list[str] = []
    machine = create_machine(stack)
    kinesis, function, states = stack.client("kinesis"), stack.client("lambda"), stack.client("stepfunctions")
    kinesis.create_stream(StreamName="numbers", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="numbers", WaiterConfig={"Delay": 1})
    kept: list[str] = []

    def hand_over_events(sleep: float) -> float:
        """A third of all; what is refused was not accepted, and is handed over again. How long it took, seconds."""
        began_s, event = time.monotonic(), json.dumps({"sleep": sleep}).encode()
        for _ in range(EVENTS // 3):
            answer = persistently(lambda: function.invoke(FunctionName="hello", InvocationType="Event", Payload=event))
            accepted.add(answer["ResponseMetadata"]["RequestId"])
        return time.monotonic() - began_s

    def hand_over(part: int) -> None:
        """A third of executions and records, likewise."""
        for _ in range(EXECUTIONS // 3):
            started = persistently(lambda: states.start_execution(stateMachineArn=machine, name=uuid.uuid4().hex))
            executions.append(started["executionArn"])
        for number in range(RECORDS // 3):
            text = f"{part}-{number}"
            persistently(lambda text=text: kinesis.put_record(StreamName="numbers", Data=text, PartitionKey=text))
            kept.append(text)

    hand_over(0)
    while hand_over_events(2 * RUNNING_S) > RUNNING_S:
        all_ran(stack, accepted)  # so slow a disk: the first of them may end at any moment
    killed = stack.project.kill(stack.engine, "workers")
    say(f"killed a workers container ({killed.id[:12]})")
    hand_over(1)
    hand_over_events(0.05)
    killed = stack.project.kill(stack.engine, "rabbitmq")
    say(f"killed the rabbitmq container ({killed.id[:12]})")
    hand_over(2)
    hand_over_events(0.05)
    began_s = time.monotonic()
    stack.project.wait_ready(stack.engine, within_s=HEAL_S, workers=3, rabbitmq=1)
    persistently(lambda: stack.invoke({"number": 1}))
    say(f"healthy, and functions answer, {time.monotonic() - began_s:.0f} s after the last was handed over")
    all_ran(stack, accepted)
    say(f"all {len(accepted)} accepted events have run")
    ends = {states.describe_execution(executionArn=arn)["status"] for arn in ended(stack, states, executions)}
    require(ends == {"SUCCEEDED"}, f"executions ended otherwise: {ends}")
    say(f"all {len(executions)} started executions have succeeded")
    shard = kinesis.list_shards(StreamName="numbers")["Shards"][0]["ShardId"]
    at = kinesis.get_shard_iterator(StreamName="numbers", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = kinesis.get_records(ShardIterator=at["ShardIterator"], Limit=10_000)["Records"]
    require(set(kept) <= {record["Data"].decode() for record in records}, "records are missing")
    say(f"all {len(kept)} records are in the stream, in order")


def create_machine(stack: Stack) -> str:
    definition = {
        "StartAt": "Wait",
        "States": {
            "Wait": {"Type": "Wait", "Seconds": 2, "Next": "Call"},
            "Call": {
                "Type": "Task",
                "Resource": stack.arn("hello"),
                "Parameters": {"number": 1},
                # what was lost with a worker is an error, never a second run unasked
                "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 8}],
                "End": True,
            },
        },
    }
    states = stack.client("stepfunctions")
    answer = states.create_state_machine(name="waits", roleArn=ROLE, definition=json.dumps(definition))
    return str(answer["stateMachineArn"])


def all_ran(stack: Stack, accepted: set[str]) -> None:
    left, until_s = set(accepted), time.monotonic() + ACCEPTED_S
    while left:
        left -= stack.logged("REPORT")
        require(time.monotonic() < until_s, f"{len(left)} of {len(accepted)} accepted events have not run")
        time.sleep(1.0)


def ended(stack: Stack, states: Any, executions: list[str]) -> list[str]:
    until_s = time.monotonic() + ACCEPTED_S
    while any(states.describe_execution(executionArn=arn)["status"] == "RUNNING" for arn in executions):
        require(time.monotonic() < until_s, "an execution has not ended")
        time.sleep(1.0)
    return executions
