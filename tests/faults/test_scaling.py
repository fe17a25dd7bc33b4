"""Worker processes follow the load, and nobody's request pays for it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.faults.conftest import Start
from tests.support import load
from tests.support.function_logs import logged
from tests.support.stack import PlatformStack

SLEEPER = """
import os, time

def handler(event, context):
    print("sleeps", event["s"])
    time.sleep(event["s"])
    return event["i"]
"""

#: what a worker or the fleet says when it ends something that runs
CUT_OFF = {"drain_timeout", "worker_killed", "cut_short"}


def records(stack: PlatformStack) -> list[dict[str, Any]]:
    """What fleet and workers have logged."""
    lines = stack.logs["fleet"].read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def actions(stack: PlatformStack) -> Counter[str]:
    return Counter(str(record.get("action")) for record in records(stack))


def wait_for(condition: Callable[[], bool], stack: PlatformStack) -> None:
    until = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < until, stack.tails()
        time.sleep(0.1)


def wait_for_workers(stack: PlatformStack, count: int) -> None:
    wait_for(lambda: len(stack.pids("worker")) == count, stack)


class Trickle:
    """Five requests a second, whether or not the one before is answered, from `with` to its end."""

    def __init__(self, stack: PlatformStack, function: str) -> None:
        self.answers: list[load.Answer] = []
        self._stack, self._function = stack, function
        self._end = threading.Event()
        self._clock = threading.Thread(target=self._run)

    def __enter__(self) -> Trickle:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._clock.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(32) as threads:
            number = 0
            while not self._end.wait(0.2):
                number += 1
                threads.submit(self._send, number)

    def _send(self, number: int) -> None:
        self.answers.append(load.one(self._stack, self._function, {"i": number, "s": 0.05}))


def test_workers_follow_the_load_up_and_down_and_no_request_fails(start: Start) -> None:
    stack = start(workers=1, max_workers=3, max_sandboxes=6, scale_down_seconds=3)
    function = stack.deploy(None, SLEEPER, Timeout=30)
    assert len(stack.pids("worker")) == 1
    with Trickle(stack, function) as trickle:
        time.sleep(4)
        events = [{"i": i, "s": 0.3} for i in range(400)]
        # more callers than the whole host has room for
        full = load.run(stack, function, events, concurrency=12, at=1, do=lambda: wait_for_workers(stack, 3))
        wait_for_workers(stack, 1)
    assert full.codes == Counter(ok=400)
    assert {answer.code for answer in trickle.answers} == {"ok"}
    # more than twice where a crowded machine makes even the trickle wait; a drain is logged after its process has gone
    wait_for(lambda: (told := actions(stack))["scaled_up"] == told["scaled_down"] == told["worker_drained"], stack)
    told = actions(stack)
    assert told["worker_drained"] >= 2
    assert not (CUT_OFF | {"worker_ended"}) & told.keys(), stack.tails()
    assert {record["status"] for record in records(stack) if record.get("action") == "worker_drained"} == {0}


#: runs until a file is there; only possible without isolation, which is not what is tested here
WAITER = """
import os, time

def handler(event, context):
    open(os.path.join(event["folder"], f"running-{event['i']}"), "w").close()
    while not os.path.exists(os.path.join(event["folder"], event["until"])):
        time.sleep(0.05)
    return event["i"]
"""


def test_worker_that_is_no_longer_needed_finishes_what_it_runs_beyond_drain_seconds(
    start: Start, tmp_path: Path
) -> None:
    stack = start(
        workers=1, max_workers=2, max_sandboxes=8, scale_down_seconds=0.5, drain_seconds=1, isolation="process"
    )
    function = stack.deploy(None, WAITER, Timeout=120)
    # four on the first worker, two on the one that is added for them; then one is left on each
    until = ["later", "soon", "soon", "soon", "later", "soon"]
    stack.client("lambda")
    with ThreadPoolExecutor(len(until)) as threads:
        running = []
        for i, when in enumerate(until):
            event = {"i": i, "until": when, "folder": str(tmp_path)}
            running.append(threads.submit(load.one, stack, function, event))
            if i < 4:
                wait_for(lambda i=i: (tmp_path / f"running-{i}").exists(), stack)
        try:
            wait_for(lambda: len(list(tmp_path.glob("running-*"))) == len(until), stack)
            assert len(stack.pids("worker")) == 2
            (tmp_path / "soon").touch()
            wait_for(lambda: bool(actions(stack)["scaled_down"]), stack)
            time.sleep(3)  # longer than drain_seconds
            assert len(stack.pids("worker")) == 2
        finally:
            (tmp_path / "soon").touch()
            (tmp_path / "later").touch()
        answers = [future.result() for future in running]
    assert [(answer.code, answer.payload) for answer in answers] == [("ok", i) for i in range(len(until))]
    wait_for_workers(stack, 1)
    (drains,) = (record for record in records(stack) if record.get("action") == "worker_drains")
    assert drains["busy"] == 1
    assert not CUT_OFF & actions(stack).keys()


def test_stop_of_the_whole_fleet_waits_for_drain_seconds_only(start: Start) -> None:
    stack = start(workers=1, max_workers=1, drain_seconds=1)
    function = stack.deploy(None, SLEEPER, Timeout=60)
    assert load.one(stack, function, {"i": 0, "s": 0}).code == "ok"
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(load.one, stack, function, {"i": 1, "s": 50})
        logged(stack, function, "sleeps 50")
        stack.stop("fleet")
        assert actions(stack)["drain_timeout"] == 1
        assert running.result().code == "ServiceException"
    assert not actions(stack)["worker_killed"]
