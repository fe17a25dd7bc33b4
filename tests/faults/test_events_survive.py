"""Accepted events outlive every process: each of them ran in the end, some of them more than once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import ClientError

from tests.faults.conftest import Start
from tests.faults.test_worker_dies import RECORDER, runs_of
from tests.support import load
from tests.support.companion import CompanionServer
from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

PATIENCE_S = 150.0


def send(stack: PlatformStack, name: str, event: object) -> str:
    """Its request id. Raises what boto3 raises: the event may have been accepted nevertheless."""
    answer = stack.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])


def runs(record: Path) -> Counter[str]:
    return runs_of(record) if record.exists() else Counter()


def wait_for(what: Callable[[], bool], stack: PlatformStack) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < limit, stack.tails()
        time.sleep(0.2)


def restart_poller(stack: PlatformStack) -> None:
    stack.kill("poller")
    stack.stop("poller")
    stack.start("poller")


def test_all_events_run_while_workers_and_the_dispatcher_are_killed(start: Start, tmp_path: Path) -> None:
    stack = start(workers=2, isolation="process", event_concurrency=4)
    name = stack.deploy(None, RECORDER.replace("0.002", "0.1"), Timeout=10)
    record, done = tmp_path / "runs", threading.Event()

    def kill_on() -> None:
        while not done.wait(2.0):
            if workers := stack.pids("worker"):
                os.kill(workers[0], signal.SIGKILL)

    with ThreadPoolExecutor(1) as killer:
        killing = killer.submit(kill_on)
        try:
            accepted = []
            for number in range(200):
                accepted.append(send(stack, name, {"runs": str(record), "i": number}))
                if number in (70, 150):
                    restart_poller(stack)
                time.sleep(0.04)
        finally:
            done.set()
        killing.result()
    wait_for(lambda: set(accepted) <= set(runs(record)), stack)
    often = Counter(runs(record)[request_id] for request_id in accepted)
    print("ran how often: how many events", dict(often))
    assert sum(often.values()) == 200


def test_no_accepted_event_is_lost_when_the_broker_is_killed_while_they_wait_and_are_sent(
    start: Start, tmp_path: Path
) -> None:
    stack = start(isolation="process")
    name = stack.deploy(None, RECORDER)
    record = tmp_path / "runs"
    stack.stop("poller")
    accepted = [send(stack, name, {"runs": str(record), "i": number}) for number in range(50)]
    os.kill(stack.servers.pid("broker"), signal.SIGKILL)
    stack.start("poller")
    refused = Counter[str]()
    for number in range(100):
        try:
            accepted.append(send(stack, name, {"runs": str(record), "i": number}))
        except ClientError as exc:
            refused[exc.response["Error"]["Code"]] += 1
            time.sleep(0.2)
    assert set(refused) == {"ServiceException"}
    wait_for(lambda: set(accepted) <= set(runs(record)), stack)


def test_events_between_attempts_and_aside_survive_the_brokers_death(start: Start, tmp_path: Path) -> None:
    """The broker is killed while events run, wait for their retry, come back from it, and wait aside."""
    stack = start(isolation="process", event_retry_base_seconds=2, event_concurrency=2, event_partitions=2)
    fails = stack.deploy(None, RECORDER.replace('return event["i"]', "raise ValueError"))
    works = stack.deploy(None, RECORDER.replace("0.002", "0.05"))
    failed, worked = tmp_path / "failed", tmp_path / "worked"
    bad = [send(stack, fails, {"runs": str(failed), "i": number}) for number in range(40)]
    good = [send(stack, works, {"runs": str(worked), "i": number}) for number in range(150)]
    wait_for(lambda: len(runs(failed)) >= 20, stack)
    time.sleep(1.5)  # the first of them are about to come back
    os.kill(stack.servers.pid("broker"), signal.SIGKILL)
    wait_for(lambda: set(good) <= set(runs(worked)), stack)
    wait_for(lambda: all(runs(failed)[request_id] >= 3 for request_id in bad), stack)


def test_two_pollers_share_and_the_survivor_takes_all(start: Start, tmp_path: Path) -> None:
    stack = start(isolation="process")
    names = [stack.deploy(None, RECORDER.replace("0.002", "0.3")) for _ in range(4)]
    record = tmp_path / "runs"
    stack.start("poller", "second")
    wait_for(lambda: stack.health()[1].get("pollers") == 2, stack)
    accepted = [send(stack, names[number % 4], {"runs": str(record), "i": number}) for number in range(40)]
    stack.kill("poller")
    wait_for(lambda: set(accepted) <= set(runs(record)), stack)


def test_pushes_are_answered_beside_events_at_full_speed(start: Start, tmp_path: Path) -> None:
    stack = start(isolation="process")
    pushed, name = stack.deploy(None, RECORDER), stack.deploy(None, RECORDER)
    record = tmp_path / "runs"
    load.run(stack, pushed, [{"runs": str(tmp_path / "pushed"), "i": 0}] * 20, concurrency=2)
    done, accepted, refused = threading.Event(), [], Counter[str]()

    def flood() -> None:
        while not done.is_set():
            try:
                accepted.append(send(stack, name, {"runs": str(record), "i": 0}))
            except ClientError as exc:
                refused[exc.response["Error"]["Code"]] += 1

    with ThreadPoolExecutor(2) as senders:
        flooding = [senders.submit(flood) for _ in range(2)]
        try:
            first = load.run(stack, pushed, [{"runs": str(tmp_path / "pushed"), "i": 0}] * 500, concurrency=1)
            before_kb = resident_kb(stack.pids("poller")[0])
            second = load.run(stack, pushed, [{"runs": str(tmp_path / "pushed"), "i": 0}] * 1000, concurrency=1)
            after_kb = resident_kb(stack.pids("poller")[0])
        finally:
            done.set()
        for sender in flooding:
            sender.result()
    assert set(refused) <= {"TooManyRequestsException"}
    assert first.codes == {"ok": 500}
    assert second.codes == {"ok": 1000}
    assert after_kb < before_kb + 64 * 1024
    wait_for(lambda: set(accepted) <= set(runs(record)), stack)


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_each_of_500_events_has_its_destination_record_though_the_broker_is_restarted(start: Start) -> None:
    """The broker is killed and comes back while they are accepted, run and reported."""
    stack = start(isolation="process", event_retry_base_seconds=1)
    name = stack.deploy(None, ECHO)
    with CompanionServer(stack.companion_port) as others:
        sqs = others.client("sqs")
        url = sqs.create_queue(QueueName="records")["QueueUrl"]
        stack.client("lambda").put_function_event_invoke_config(
            FunctionName=name,
            DestinationConfig={"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:records"}},
        )
        accepted: list[str] = []
        deaths = [350, 150]
        while len(accepted) < 500:
            if deaths and len(accepted) == deaths[-1]:
                deaths.pop()
                os.kill(stack.servers.pid("broker"), signal.SIGKILL)
            try:
                accepted.append(send(stack, name, {"i": len(accepted)}))
            except ClientError:  # it may have been accepted nevertheless; nobody was told so
                time.sleep(0.1)
        records = Counter[str]()

        def collect() -> bool:
            """All there are; whether none is missing."""
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                for message in messages:
                    record = json.loads(message["Body"])
                    assert record["requestContext"]["condition"] == "Success"
                    records[record["requestContext"]["requestId"]] += 1
                done = [{"Id": one["MessageId"], "ReceiptHandle": one["ReceiptHandle"]} for one in messages]
                sqs.delete_message_batch(QueueUrl=url, Entries=done)
            return set(accepted) <= set(records)

        wait_for(collect, stack)
    repeats = {request_id: often for request_id, often in records.items() if often > 1}
    print(f"{len(accepted)} accepted, {len(records)} ids with a record, repeated: {repeats}")
    assert len(set(accepted)) == 500
    assert set(accepted) <= set(records)
