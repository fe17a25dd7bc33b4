"""Records of streams reach their function in order and completely, whatever dies: repeated at most, never skipped."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.faults.conftest import Start
from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack
from tests.support.waiting import until

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
PATIENCE_S = 140.0
#: writes down each batch as a line, "key:number" by record, before it does anything else
WRITE_DOWN = """
import base64, json, os
def handler(event, context):
    told = [base64.b64decode(one["kinesis"]["data"]).decode() for one in event["Records"]]
    beside = {key: value for key, value in event.items() if key != "Records"}
    line = json.dumps([told, beside]) + "\\n"
    out = os.open(os.environ["OUT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(out, line.encode())
    os.close(out)
    if any(one.startswith("poison:") for one in told):
        raise ValueError("poison")
    state = event.get("state", {})
    state["sum"] = state.get("sum", 0) + sum(int(one.partition(":")[2]) for one in told)
    return {"state": state}
"""


class Told:
    """What the function was given, batch by batch."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        #: key -> the highest number that came after all before it
        self.high: Counter[str] = Counter()
        self.batches = 0
        self.repeats = 0
        self.finals: dict[str, int] = {}
        self.skipped: list[str] = []

    def read_on(self) -> Told:
        if self._file.exists():
            with self._file.open() as lines:
                lines.seek(self._read)
                while (line := lines.readline()).endswith("\n"):
                    self._take(*json.loads(line))
                    self._read = lines.tell()
        return self

    def _take(self, told: list[str], beside: dict[str, Any]) -> None:
        """A batch may come again; then it may begin with what is known, but never behind what is expected next."""
        self.batches += 1
        last: dict[str, int] = {}
        for one in told:
            key, _, number = one.partition(":")
            expected = last[key] + 1 if key in last else min(int(number), self.high[key] + 1)
            if int(number) != expected:
                self.skipped.append(f"{key}: {number} came instead of {expected}")
            last[key] = int(number)
        self.repeats += any(number <= self.high[key] for key, number in last.items())
        for key, number in last.items():
            self.high[key] = max(self.high[key], number)
        if beside.get("isFinalInvokeForWindow"):
            self.finals[beside["window"]["start"]] = beside["state"]["sum"]


def deploy(stack: PlatformStack, file: Path) -> str:
    return stack.deploy(None, WRITE_DOWN, Timeout=30, Environment={"Variables": {"OUT": str(file)}})


def put(stack: PlatformStack, stream: str, records: list[str]) -> None:
    """ "key:number" each."""
    given = [{"Data": one.encode(), "PartitionKey": one.partition(":")[0]} for one in records]
    answer = stack.client("kinesis", retries={"total_max_attempts": 5}).put_records(StreamName=stream, Records=given)
    assert answer["FailedRecordCount"] == 0


def series(keys: int, each: int) -> Iterator[list[str]]:
    """Puts of up to 500 records: each key's numbers from 1 on, in order, keys mixed."""
    waiting = []
    for number in range(1, each + 1):
        for key in range(keys):
            waiting.append(f"k{key}:{number}")
            if len(waiting) == 500:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def map_to(stack: PlatformStack, function: str, stream: str, **given: Any) -> str:
    client = stack.client("lambda")
    made = client.create_event_source_mapping(
        FunctionName=function, EventSourceArn=ARN + stream, **{"StartingPosition": "TRIM_HORIZON"} | given
    )
    until(lambda: client.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled")
    return str(made["UUID"])


def wait_for(what: Callable[[], Any], stack: PlatformStack, told: Told) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not what():
        assert not told.skipped, told.skipped[:5]
        assert time.monotonic() < limit, f"{told.batches} batches, {sum(told.high.values())}\n{stack.tails()}"
        time.sleep(0.3)
    assert not told.skipped, told.skipped[:5]


def test_200_000_records_come_in_order_while_pollers_workers_and_servers_die(start: Start, tmp_path: Path) -> None:
    """Every five seconds one of three pollers and two workers is killed; a lease lasts three seconds."""
    stack = start(workers=2, isolation="process", mapping_lease_seconds=3)
    for alias in ("second", "third"):
        stack.start("poller", alias)
    told, done = Told(tmp_path / "told"), threading.Event()
    function = deploy(stack, tmp_path / "told")
    stack.client("kinesis").create_stream(StreamName="numbers", ShardCount=4)
    map_to(stack, function, "numbers", BatchSize=500, ParallelizationFactor=2)

    def kill_on() -> list[str]:
        killed: list[str] = []
        while not done.wait(5.0):
            victim = ("poller", "worker", "second", "worker", "third")[len(killed) % 5]
            if victim == "worker":
                if workers := stack.pids("worker"):
                    os.kill(workers[0], signal.SIGKILL)
            else:
                stack.kill(victim)
                stack.revive("poller", "" if victim == "poller" else victim)
            killed.append(victim)
        return killed

    with ThreadPoolExecutor(1) as killer:
        killing = killer.submit(kill_on)
        try:
            for number, records in enumerate(series(400, 500)):
                put(stack, "numbers", records)
                if number in (200, 300):  # all leases are free at once when coordination has forgotten them
                    os.kill(stack.servers.pid("broker" if number == 200 else "coordination"), signal.SIGKILL)
                time.sleep(0.05)
            wait_for(lambda: sum(told.read_on().high.values()) == 200_000, stack, told)
        finally:
            done.set()
        killed = killing.result()
    print(f"{told.batches} batches, {told.repeats} of them with repeats; killed: {dict(Counter(killed))}")
    assert set(told.high.values()) == {500}
    assert len(killed) >= 3


def test_exactly_the_poison_record_among_10_000_is_given_up(start: Start, tmp_path: Path) -> None:
    stack = start(isolation="process", mapping_retry_base_seconds=0.05)
    told = Told(tmp_path / "told")
    function = deploy(stack, tmp_path / "told")
    stack.client("kinesis").create_stream(StreamName="numbers", ShardCount=1)
    with CompanionServer(stack.companion_port) as others:
        url = others.client("sqs").create_queue(QueueName="given-up")["QueueUrl"]
        puts = list(series(100, 100))
        puts[7].insert(123, "poison:1")
        for records in puts:
            put(stack, "numbers", records[:500])
            put(stack, "numbers", records[500:]) if records[500:] else None
        map_to(
            stack,
            function,
            "numbers",
            BatchSize=1000,
            BisectBatchOnFunctionError=True,
            MaximumRetryAttempts=2,
            DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:given-up"}},
        )
        keys = [f"k{number}" for number in range(100)]
        wait_for(lambda: all(told.read_on().high[key] == 100 for key in keys), stack, told)
        found: list[dict[str, Any]] = []

        def collect() -> bool:
            answer = others.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=2)
            found.extend(json.loads(one["Body"]) for one in answer.get("Messages", []))
            return bool(found) and not answer.get("Messages")

        wait_for(collect, stack, told)
    (report,) = found
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    info = report["KinesisBatchInfo"]
    assert info["batchSize"] == 1
    iterator = stack.client("kinesis").get_shard_iterator(
        StreamName="numbers",
        ShardId=info["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=info["startSequenceNumber"],
    )["ShardIterator"]
    (record,) = stack.client("kinesis").get_records(ShardIterator=iterator, Limit=1)["Records"]
    assert record["Data"] == b"poison:1"


def test_windows_add_up_exactly_though_the_poller_dies_in_the_middle_of_them(start: Start, tmp_path: Path) -> None:
    stack = start(isolation="process", mapping_lease_seconds=2)
    told = Told(tmp_path / "told")
    function = deploy(stack, tmp_path / "told")
    stack.client("kinesis").create_stream(StreamName="numbers", ShardCount=1)
    map_to(stack, function, "numbers", TumblingWindowInSeconds=10, BatchSize=20, ParallelizationFactor=1)
    stack.start("poller", "second")
    deaths = [120, 60]
    for number in range(1, 181):
        put(stack, "numbers", [f"k{key}:{number}" for key in range(3)])
        if deaths and number == deaths[-1]:
            deaths.pop()
            for alias in ("", "second"):  # whichever has the shard
                stack.kill(alias or "poller")
                stack.revive("poller", alias)
        time.sleep(0.1)
    total = 3 * sum(range(1, 181))
    wait_for(lambda: sum(told.read_on().finals.values()) >= total, stack, told)
    print(f"windows: {told.finals}; {told.batches} batches, {told.repeats} with repeats")
    assert sum(told.finals.values()) == total
    assert len(told.finals) >= 2


def test_order_of_keys_holds_across_a_split_and_a_merge_under_load(start: Start, tmp_path: Path) -> None:
    stack = start(workers=2, isolation="process")
    kinesis = stack.client("kinesis")
    told = Told(tmp_path / "told")
    function = deploy(stack, tmp_path / "told")
    kinesis.create_stream(StreamName="numbers", ShardCount=1)
    map_to(stack, function, "numbers", BatchSize=100, ParallelizationFactor=4)
    first, second, third = (f"shardId-{number:012d}" for number in range(3))
    for number, records in enumerate(series(200, 100)):
        put(stack, "numbers", records)
        if number == 12:
            kinesis.split_shard(StreamName="numbers", ShardToSplit=first, NewStartingHashKey=str(2**127))
        if number == 26:
            kinesis.merge_shards(StreamName="numbers", ShardToMerge=second, AdjacentShardToMerge=third)
        time.sleep(0.1)
    wait_for(lambda: sum(told.read_on().high.values()) == 20_000, stack, told)
    print(f"{told.batches} batches, {told.repeats} of them with repeats")
    assert set(told.high.values()) == {100}
    assert told.repeats == 0
