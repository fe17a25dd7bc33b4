"""A function that does its worst, on a platform that makes functions out of stem cells; another one beside it must not
notice."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO, zip_of
from tests.support.sandbox_break_outs import host_address
from tests.support.stack import PlatformStack

_ATTACKS = """
import os, threading

def fork_bomb(_):
    def multiply():
        while True:
            try:
                if os.fork() == 0:
                    continue
            except OSError:
                pass
    multiply()

def full_disk(_):
    written = 0
    try:
        with open("/tmp/all", "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(1 << 20))
    except OSError as exc:
        os.unlink("/tmp/all")
        return [written >> 20, exc.errno]

def hog(_):
    held = []
    while True:
        held.append(bytearray(b"x" * (1 << 20)))

def descriptors(_):
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as exc:
        return [len(held), exc.errno]
    finally:
        for descriptor in held:
            os.close(descriptor)

def threads(_):
    started = []
    stop = threading.Event()
    try:
        while len(started) < 5000:
            started.append(threading.Thread(target=stop.wait, daemon=True))
            started[-1].start()
    except RuntimeError:
        return len(started)
    finally:
        stop.set()

def from_a_cell(_):
    # its environment came after the start of its process
    with open("/proc/self/environ", "rb") as file:
        return b"_HANDLER=" not in file.read()

def escape(target):
    import escapes
    return escapes.attack(target)

def handler(event, context):
    return globals()[event["do"]](event.get("target"))
"""
_ESCAPES = Path(__file__).resolve().parents[1] / "support" / "sandbox_attacks.py"
#: until a worker has a cell again
_TRIES = 40


class Neighbour:
    """Another function, invoked over and over while the block runs."""

    def __init__(self, stack: PlatformStack, function: str) -> None:
        self._stack, self._function = stack, function
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.served = 0
        self.failed: list[str] = []

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._stack.invoke(self._function, {"n": self.served})
            except ClientError as exc:
                self.failed.append(str(exc))
                continue
            if answer.get("FunctionError") or answer["Payload"] != {"n": self.served}:
                self.failed.append(str(answer))
            self.served += 1

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def attacker(stack: PlatformStack) -> str:
    """A function whose sandbox was a stem cell, and stands ready."""
    package = zip_of(_ATTACKS, escapes__py=_ESCAPES.read_text())
    variables = {"Variables": {"SECRET_OF_CALLER": "s"}}
    for _ in range(_TRIES):
        function = stack.deploy(None, package, Timeout=6, MemorySize=128, Environment=variables)
        if stack.invoke(function, {"do": "from_a_cell"})["Payload"] is True:
            return function
        time.sleep(0.5)
    raise AssertionError("no worker has stem cells")


@pytest.fixture
def service_on_the_host() -> Iterator[str]:
    """host:port of an echo on an address of this host that is not loopback."""

    class Echo(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.readline())

    with socketserver.ThreadingTCPServer((host_address(), 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "{}:{}".format(*server.server_address)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def neighbour(stack: PlatformStack) -> str:
    function = stack.deploy(None, ECHO, Timeout=10)
    stack.invoke(function, {})
    return function


def _beside(stack: PlatformStack, neighbour: str, attacker: str, attack: str) -> dict[str, Any]:
    """The attack's answer, once the neighbour has been seen to work during it."""
    with Neighbour(stack, neighbour) as beside:
        started_s = time.monotonic()
        answer = stack.invoke(attacker, {"do": attack})
        took_s = time.monotonic() - started_s
    print(f"\n{attack}: the neighbour was served {beside.served} times in {took_s:.1f} s; {answer['Payload']}")
    assert beside.failed == []
    assert beside.served > 0
    return answer


def test_others_are_served_during_a_fork_bomb(stack: PlatformStack, neighbour: str, attacker: str) -> None:
    answer = _beside(stack, neighbour, attacker, "fork_bomb")
    assert answer["Payload"]["errorType"] in ("Sandbox.Timedout", "Runtime.OutOfMemory")


def test_others_are_served_while_a_function_fills_its_disk(stack: PlatformStack, neighbour: str, attacker: str) -> None:
    answer = _beside(stack, neighbour, attacker, "full_disk")
    if "FunctionError" in answer:  # /tmp in memory, or a disk too slow to fill in time
        assert answer["Payload"]["errorType"] in ("Runtime.OutOfMemory", "Sandbox.Timedout")
    else:
        written_mb, code = answer["Payload"]
        assert 512 <= written_mb < 540
        assert code == 28


def test_others_are_served_while_a_function_runs_out_of_memory(
    stack: PlatformStack, neighbour: str, attacker: str
) -> None:
    answer = _beside(stack, neighbour, attacker, "hog")
    assert answer["Payload"]["errorType"] == "Runtime.OutOfMemory"


def test_function_has_1024_descriptors_and_1024_threads_at_most(stack: PlatformStack, attacker: str) -> None:
    opened, code = stack.invoke(attacker, {"do": "descriptors"})["Payload"]
    assert 1000 < opened < 1024
    assert code == 24
    assert stack.invoke(attacker, {"do": "threads"})["Payload"] <= 1024


def test_function_of_a_platform_with_stem_cells_does_not_get_out(
    stack: PlatformStack, neighbour: str, attacker: str, service_on_the_host: str
) -> None:
    private = stack.data / "private"
    private.touch(mode=0o600)
    target = {
        "other_code": str(next(stack.data.glob("code/*/app.py"))),
        "private_file": str(private),
        "worker_pid": str(stack.pids("worker")[0]),
        "address": service_on_the_host,
    }
    for server in (stack.servers.broker_url, stack.servers.state_url):
        event = {"do": "escape", "target": target | {"loopback": urlsplit(server).netloc.rpartition("@")[2]}}
        answer = stack.invoke(attacker, event)["Payload"]
        assert {what: found for what, found in answer["tried"].items() if not found.startswith("refused")} == {}
        assert (answer["from a cell"], answer["capabilities"]) == (True, 0)
        assert (answer["no_new_privs"], answer["seccomp"]) == ("1", "2")
        assert answer["uid"] != 0


def test_tag_decides_what_a_function_reaches(stack: PlatformStack) -> None:
    source = "import os\ndef handler(event, context):\n    return os.environ.get('AWS_ENDPOINT_URL')\n"
    reached = {
        egress: stack.invoke(stack.deploy(None, source, Tags={"hearth:egress": egress}), {})["Payload"]
        for egress in ("off", "platform")
    }
    assert reached == {"off": None, "platform": "http://127.0.0.1:4566"}
    with pytest.raises(ClientError, match="must be one of open, platform, off, not everywhere") as refused:
        stack.deploy(None, source, Tags={"hearth:egress": "everywhere"})
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
