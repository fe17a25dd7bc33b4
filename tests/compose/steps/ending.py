"""It stops in an orderly way, and comes back from a copy of its volumes."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.compose.project import PROFILES
from tests.compose.stack import Stack, require, say


def stops_when_what_runs_is_finished(stack: Stack) -> None:
    with ThreadPoolExecutor(1) as thread:
        before = stack.logged("START")
        call = thread.submit(stack.invoke, {"sleep": 12, "number": 3})
        while stack.logged("START") == before and not call.done():
            time.sleep(0.2)
        stack.compose("stop", "gateway", "workers", "pollers", "orchestrators")
        require(call.result()["number"] == 3, "the answer of what ran is missing")
    codes = {
        (one.service, one.exit_code)
        for one in stack.project.containers(stack.engine)
        if one.service in ("gateway", "workers", "pollers", "orchestrators")
    }
    say(f"exit codes: {sorted(codes)}")
    require(all(code == 0 for _, code in codes), "a service was killed, or failed, while it stopped")


def is_restored_from_a_copy(stack: Stack) -> None:
    """As docs/compose.md tells."""
    volumes = {"state": "/data", "rabbitmq": "/var/lib/rabbitmq", "gateway": "/var/lib/hearth/blobs"}
    stack.compose("stop")
    for service, path in volumes.items():
        with (stack.project.folder / f"{service}.tar").open("wb") as archive:
            tar(stack, service, "-C", path, "-cf", "-", ".", stdout=archive)
    stack.compose(*PROFILES, "down", "--volumes")
    for service, path in volumes.items():
        with (stack.project.folder / f"{service}.tar").open("rb") as archive:
            tar(stack, service, "-C", path, "-xf", "-", stdin=archive)
    stack.up(workers=1, gateway=1)
    answer = stack.invoke({"number": 9})
    require(answer["number"] == 9, f"not its answer: {answer}")
    say("after `down --volumes`, a copy of three volumes brought the function back")


def tar(stack: Stack, service: str, *arguments: str, **streams: Any) -> None:
    """In a container of its own with the service's volumes; its own program does not run."""
    command = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "tar", service, *arguments)
    environ = stack.project.environ(stack.engine)
    subprocess.run(stack.project.command(*command), cwd=stack.project.folder, env=environ, check=True, **streams)
