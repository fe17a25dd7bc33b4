"""A server is killed with -9 under load and comes back: errors only within the outage, then all is warm again."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.faults.conftest import Start
from tests.support import load
from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

RECOVERY_S = 90.0


def kill_server(stack: PlatformStack, name: str) -> None:
    os.kill(stack.servers.pid(name), signal.SIGKILL)


def wait_for_an_answer(stack: PlatformStack, function: str) -> None:
    until = time.monotonic() + RECOVERY_S
    while (answer := load.one(stack, function, "again")).code != "ok":
        assert time.monotonic() < until, answer
        time.sleep(0.2)


@pytest.mark.parametrize("server", ["broker", "state", "coordination"])
def test_server_killed_under_load_heals_and_functions_are_what_they_were(start: Start, server: str) -> None:
    stack = start()
    function = stack.deploy(None, ECHO, Environment={"Variables": {"NAME": "value"}})
    before = stack.client("lambda").get_function_configuration(FunctionName=function)
    fresh = stack.deploy(None, ECHO)
    load.run(stack, function, range(20), concurrency=4)
    result = load.run(stack, function, range(300), concurrency=4, at=100, do=lambda: kill_server(stack, server))
    assert len(result.answers) == 300  # each was answered, one way or the other
    assert set(result.codes) <= {"ok", "ServiceException", "ServiceUnavailableException"}
    wait_for_an_answer(stack, function)
    wait_for_an_answer(stack, fresh)  # a cold start needs all three servers
    after = load.run(stack, function, range(100), concurrency=4)
    assert after.codes == {"ok": 100}
    now = stack.client("lambda").get_function_configuration(FunctionName=function)
    assert {**now, "ResponseMetadata": None} == {**before, "ResponseMetadata": None}
