"""Provisioned sandboxes are kept, and made again when their worker or the poller that asked for them dies."""

from __future__ import annotations

import os
import signal
import time

from tests.faults.conftest import Start
from tests.support.stack import PlatformStack
from tests.support.waiting import until

KIND = """
import os
def handler(event, context):
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], os.getpid()
"""


def ready(stack: PlatformStack, name: str) -> bool:
    config = stack.client("lambda").get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")
    return bool(config["Status"] == "READY")


def kind(stack: PlatformStack, name: str) -> str:
    return str(stack.invoke(name, {}, Qualifier="1")["Payload"][0])


def provided_anew(stack: PlatformStack, name: str) -> bool:
    """After the death of those there were: for some seconds they are still told to be ready."""
    time.sleep(2)  # what was started on demand meanwhile is gone then, and does not answer any more
    return ready(stack, name) and kind(stack, name) == "provisioned-concurrency"


def test_provisioned_sandboxes_outlive_idleness_and_come_back_after_deaths(start: Start) -> None:
    stack = start(workers=2, isolation="process", idle_seconds=1)
    stack.retries = {"total_max_attempts": 5}
    name = stack.deploy(None, KIND, Publish=True)
    stack.client("lambda").put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=3
    )
    until(lambda: ready(stack, name))
    time.sleep(3)  # longer than idle sandboxes on demand live
    assert ready(stack, name)
    assert kind(stack, name) == "provisioned-concurrency"
    for pid in stack.pids("worker"):  # each of them: one that was killed may take a moment to be gone
        os.kill(pid, signal.SIGKILL)
    until(lambda: provided_anew(stack, name), 90)
    stack.kill("poller")
    stack.stop("poller")
    stack.start("poller")
    stack.kill("worker")
    until(lambda: provided_anew(stack, name), 90)
