"""A worker is killed, or drained, under load."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from tests.faults.conftest import Start
from tests.support import load
from tests.support.waiting import until

#: writes down every run, outside of the sandbox: only possible without isolation, which is not what is tested here
RECORDER = """
import os, time

def handler(event, context):
    out = os.open(event["runs"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(out, (context.aws_request_id + " " + str(event["i"]) + "\\n").encode())
    os.close(out)
    time.sleep(0.002)
    return event["i"]
"""


def runs_of(record: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in record.read_text().splitlines())


def test_worker_killed_under_load_every_request_is_answered_and_none_runs_three_times(
    start: Start, tmp_path: Path
) -> None:
    stack = start(workers=2, isolation="process")
    function = stack.deploy(None, RECORDER)
    record = tmp_path / "runs"
    events = [{"runs": str(record), "i": i} for i in range(2000)]
    result = load.run(stack, function, events, concurrency=16, at=1000, do=lambda: stack.kill("worker", 0))
    assert len(result.answers) == 2000
    assert set(result.codes) <= {"ok", "ServiceException"}
    # only what was in flight on the killed worker may have failed
    assert result.codes["ServiceException"] <= 16
    assert sorted(a.payload for a in result.answers if a.code == "ok") == sorted(
        set(a.payload for a in result.answers if a.code == "ok")
    )
    runs = runs_of(record)
    assert max(runs.values()) <= 2
    assert len(runs) == 2000
    until(lambda: len(stack.pids("worker")) == 2)


#: kills the worker that runs it
KILLER = RECORDER.replace(
    "time.sleep(0.002)",
    """
    pid = os.getppid() if event["kill"] else 0
    while pid > 1:
        with open(f"/proc/{pid}/cmdline") as file:
            command = file.read()
        if "-m\\0workers\\0" in command:
            os.kill(pid, 9)
            time.sleep(30)
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
""",
)


def test_request_whose_worker_died_is_not_started_again_if_placed_and_runs_once_more_at_most_if_warm(
    start: Start, tmp_path: Path
) -> None:
    stack = start(workers=3, isolation="process")  # each death leaves another one
    function = stack.deploy(None, KILLER, Timeout=60)
    placed, warm = tmp_path / "placed", tmp_path / "warm"
    answer = load.one(stack, function, {"runs": str(placed), "i": 0, "kill": True})
    assert answer.code == "ServiceException"
    assert list(runs_of(placed).values()) == [1]
    assert load.one(stack, function, {"runs": str(tmp_path / "first"), "i": 0, "kill": False}).code == "ok"
    answer = load.one(stack, function, {"runs": str(warm), "i": 0, "kill": True})
    assert answer.code == "ServiceException"
    # one, if it was on its way to a new sandbox when the warm one fell free: then it counts as placed
    assert list(runs_of(warm).values()) in ([1], [2])


def test_drained_worker_fails_no_request(start: Start) -> None:
    stack = start(workers=2)
    function = stack.deploy(None, "import time\ndef handler(event, context):\n    time.sleep(0.05)\n    return event\n")
    first = stack.pids("worker")[0]
    result = load.run(stack, function, range(400), concurrency=8, at=100, do=lambda: os.kill(first, signal.SIGTERM))
    assert result.codes == Counter(ok=400)
    until(lambda: first not in stack.pids("worker"))  # on a busy machine its sandboxes' end outlasts the load


def test_fleet_killed_leaves_no_worker_and_no_sandbox(start: Start) -> None:
    stack = start()
    function = stack.deploy(None, "def handler(event, context):\n    return event\n")
    stack.invoke(function, 1)
    workers = stack.pids("worker")
    stack.kill("fleet")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
