"""Worker processes follow the load, and nobody's request pays for it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faults.conftest import Start
from tests.support import load
from tests.support.stack import PlatformStack

SLEEPER = """
import os, time

def handler(event, context):
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


def wait_for_workers(stack: PlatformStack, count: int, *, within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while len(stack.pids("worker")) != count:
        assert time.monotonic() < until, f"{len(stack.pids('worker'))} workers instead of {count}\n{stack.tails()}"
        time.sleep(0.2)


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
    with Trickle(stack, function) as trickle:
        time.sleep(4)
        assert len(stack.pids("worker")) == 1
        events = [{"i": i, "s": 0.3} for i in range(400)]
        # more callers than the whole host has room for
        full = load.run(stack, function, events, concurrency=12, at=1, do=lambda: wait_for_workers(stack, 3))
        wait_for_workers(stack, 1)
    assert full.codes == Counter(ok=400)
    assert {answer.code for answer in trickle.answers} == {"ok"}
    told = actions(stack)
    assert told["scaled_up"] == told["scaled_down"] == told["worker_drained"] == 2
    assert not (CUT_OFF | {"worker_ended"}) & told.keys(), stack.tails()
    assert {record["status"] for record in records(stack) if record.get("action") == "worker_drained"} == {0}


def test_worker_that_is_no_longer_needed_finishes_what_it_runs_beyond_drain_seconds(start: Start) -> None:
    stack = start(workers=1, max_workers=2, max_sandboxes=8, scale_down_seconds=0.5, drain_seconds=1)
    function = stack.deploy(None, SLEEPER, Timeout=60)
    # four on the first worker, two on the one that is then started; at the end one long run on each
    lengths = [25.0, 8.0, 8.0, 8.0, 25.0, 8.0]
    stack.client("lambda")
    with ThreadPoolExecutor(len(lengths)) as threads:
        running = []
        for i, length in enumerate(lengths):
            running.append(threads.submit(load.one, stack, function, {"i": i, "s": length}))
            time.sleep(0.5)
        wait_for_workers(stack, 2)
        until = time.monotonic() + 60
        while not actions(stack)["scaled_down"]:
            assert time.monotonic() < until, stack.tails()
            time.sleep(0.2)
        drains = next(r for r in records(stack) if r.get("action") == "worker_drains")
        assert drains["busy"] == 1
        answers = [future.result() for future in running]
    assert [(answer.code, answer.payload) for answer in answers] == [("ok", i) for i in range(len(lengths))]
    wait_for_workers(stack, 1)
    assert not CUT_OFF & actions(stack).keys()


def test_stop_of_the_whole_fleet_waits_for_drain_seconds_only(start: Start) -> None:
    stack = start(workers=1, max_workers=1, drain_seconds=1)
    function = stack.deploy(None, SLEEPER, Timeout=60)
    assert load.one(stack, function, {"i": 0, "s": 0}).code == "ok"
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(load.one, stack, function, {"i": 1, "s": 50})
        time.sleep(1)
        stack.stop("fleet")
        assert actions(stack)["drain_timeout"] == 1
        assert running.result().code == "ServiceException"
    assert not actions(stack)["worker_killed"]
