"""The gateway's end and return: what runs is finished, what was stored is still there."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

SLOW = """
import time

def handler(event, context):
    print("taken")
    time.sleep(event)
    return "done"
"""


@pytest.fixture(scope="module")
def own(servers: PrivateServers, data_dir: Path) -> Iterator[PlatformStack]:
    """A platform of this module's own: its gateway is stopped and killed."""
    with PlatformStack(data_dir, servers) as running:
        yield running


def gateway_process(own: PlatformStack) -> int:
    """The gunicorn worker that serves."""
    master = own.pids("gateway")[0]
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[0])


def test_stopping_gateway_answers_what_is_running_and_takes_no_more(own: PlatformStack) -> None:
    name = own.deploy(None, SLOW, Timeout=30)
    own.invoke(name, 0)
    answers: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(own.invoke(name, 2)))
    caller.start()
    time.sleep(0.5)

    own.stop("gateway")
    caller.join(10)

    assert [answer["Payload"] for answer in answers] == ["done"]
    with pytest.raises(OSError):  # noqa: PT011 (refused, whatever the system calls it)
        http.client.HTTPConnection("127.0.0.1", own.port, timeout=2).connect()

    own.start("gateway")
    own.wait_ready()
    assert own.invoke(name, 0)["Payload"] == "done"


def test_killed_process_of_the_gateway_is_replaced(own: PlatformStack) -> None:
    name = own.deploy(None, SLOW)
    killed = gateway_process(own)
    os.kill(killed, signal.SIGKILL)

    until = time.monotonic() + 30
    while own.health()[0] != 200 and time.monotonic() < until:
        time.sleep(0.1)

    assert gateway_process(own) != killed
    assert own.invoke(name, 0)["Payload"] == "done"
    assert own.health()[1]["status"] == "ready"
