"""The gateway's end and return: what runs is finished, what was stored is still there."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.function_logs import logged
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

SLOW = """
import time

def handler(event, context):
    print("taken", event)
    time.sleep(event)
    return "done"
"""


@pytest.fixture(scope="module")
def own(servers: PrivateServers, data_dir: Path) -> Iterator[PlatformStack]:
    """A platform of this module's own: its gateway is stopped and killed."""
    with PlatformStack(data_dir, servers) as running:
        yield running


def gateway_process(own: PlatformStack) -> int:
    """The gunicorn worker that serves; 0 between two of them."""
    master = own.pids("gateway")[0]
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[0]) if children else 0


def mapped_folder(own: PlatformStack) -> Path:
    """Where the files are that the gateway writes to by memory: none on a disk, which may be full (SIGBUS)."""
    maps = Path(f"/proc/{gateway_process(own)}/maps").read_text()
    assert str(own.data) not in maps
    (folder,) = {Path(path).parent for path in re.findall(r"/dev/shm/hearth-gateway-\S+", maps)}
    return folder


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def answer_of(connection: http.client.HTTPConnection, path: str) -> tuple[int, str | None]:
    """(status, header Connection); status 0: nobody listens."""
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except ConnectionRefusedError:
        return 0, None
    return answer.status, answer.headers["Connection"]


def test_stopping_gateway_answers_what_is_running_and_takes_no_more(own: PlatformStack) -> None:
    name = own.deploy(None, SLOW, Timeout=30)
    own.invoke(name, 0)
    answers: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(own.invoke(name, 4)))
    caller.start()
    logged(own, name, "taken 4")
    figures = mapped_folder(own)

    own.stop("gateway")
    caller.join(60)

    assert [answer["Payload"] for answer in answers] == ["done"]
    with pytest.raises(OSError):  # noqa: PT011 (refused, whatever the system calls it)
        http.client.HTTPConnection("127.0.0.1", own.port, timeout=2).connect()
    assert not figures.exists()

    own.start("gateway")
    own.wait_ready()
    assert own.invoke(name, 0)["Payload"] == "done"


def test_gateway_that_leaves_tells_balancers_and_goes_on_serving(servers: PrivateServers, tmp_path: Path) -> None:
    leaving = PlatformStack(tmp_path, servers, leave_seconds=60)  # longer than this test
    leaving.start("gateway")

    def ask(path: str) -> tuple[int, str | None]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", leaving.port, timeout=60)) as new:
            return answer_of(new, path)

    try:
        wait_until(lambda: ask("/health/gateway") == (200, None))
        kept = http.client.HTTPConnection("127.0.0.1", leaving.port, timeout=60)
        unsigned = answer_of(kept, "/2015-03-31/functions")
        assert unsigned == (403, None)
        os.kill(leaving.pids("gateway")[0], signal.SIGTERM)
        wait_until(lambda: ask("/health/gateway") == (404, "close"))
        assert answer_of(kept, "/2015-03-31/functions") == (403, "close")
        assert ask("/2015-03-31/functions") == (403, "close")
    finally:
        os.killpg(leaving.pids("gateway")[0], signal.SIGKILL)
        leaving.stop("gateway")


def test_killed_process_of_the_gateway_is_replaced(own: PlatformStack) -> None:
    name = own.deploy(None, SLOW)
    killed = gateway_process(own)
    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: own.health()[0] == 200 and gateway_process(own) != killed)

    assert own.invoke(name, 0)["Payload"] == "done"
    assert own.health()[1]["status"] == "ready"
