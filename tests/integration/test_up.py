"""`hearth up`: from an empty data folder to an answer, and nothing left afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.embedded import stackfile
from tests.support import places
from tests.support.command import Terminal, hearth, up_environ
from tests.support.processes import descendants, remaining
from tests.support.servers import PrivateServers

_READY = "Ctrl-C stops everything"


@pytest.fixture(scope="module")
def own_data(servers: PrivateServers) -> Iterator[Path]:
    """A data folder that the tests here share, so that each finds what the ones before it left."""
    with places.data_folder() as folder:
        yield folder


class Starter:
    """Starts take long: a platform that a test left running serves the next one."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._terminal: Terminal | None = None

    def running(self) -> Terminal:
        if self._terminal is None or self._terminal.process.poll() is not None:
            self.end()
            self._terminal = Terminal("up", env=up_environ(self._data))
            self._terminal.wait_for(_READY)
        return self._terminal

    def end(self) -> None:
        if self._terminal is not None:
            self._terminal.__exit__()
            self._terminal = None


@pytest.fixture(scope="module")
def starter(own_data: Path) -> Iterator[Starter]:
    one = Starter(own_data)
    yield one
    one.end()


@pytest.fixture
def up(starter: Starter) -> Terminal:
    return starter.running()


SERVICES = ("gateway", "fleet", "poller", "orchestrator")


def running(data: Path) -> stackfile.Running:
    found = stackfile.live(data)
    assert found is not None
    return found


def wait_until_restarted(data: Path, name: str, old: int) -> None:
    until = time.monotonic() + 60
    while running(data).processes.get(name) in (None, old):
        assert time.monotonic() < until, f"{name} was not started again"
        time.sleep(0.1)


def test_first_start_prints_the_examples_answer(up: Terminal) -> None:
    assert 'answered {"message": "Hello, Hearth!"' in up.text


def test_another_up_on_the_same_data_says_so(up: Terminal, own_data: Path) -> None:
    second = hearth("up", env=up_environ(own_data))
    assert second.returncode == 1
    assert f"already runs on {own_data} (pid {up.process.pid})" in second.stderr


@pytest.mark.parametrize("name", [*SERVICES, "broker", "state", "coordination"])
def test_killed_process_is_started_again_and_functions_answer(up: Terminal, own_data: Path, name: str) -> None:
    old = running(own_data).processes[name]
    os.kill(old, signal.SIGKILL)
    wait_until_restarted(own_data, name, old)

    until = time.monotonic() + 60
    while (answer := hearth("invoke", "hello", env=up_environ(own_data))).returncode:
        assert time.monotonic() < until, answer.stderr + up.text
    assert json.loads(answer.stdout)["message"] == "Hello, world!"


def test_ctrl_c_leaves_no_process(up: Terminal, own_data: Path) -> None:
    everything = descendants(up.process.pid)
    assert len(everything) > 6

    up.interrupt()

    assert up.wait() == 0
    assert remaining(everything, within_s=60) == []
    assert stackfile.live(own_data) is None


def test_second_start_finds_the_functions_of_the_first(up: Terminal, own_data: Path) -> None:
    assert "deploying /" not in up.text
    listed = hearth("list", "--json", env=up_environ(own_data))
    assert [function["FunctionName"] for function in json.loads(listed.stdout)] == ["hello"]


def test_killed_up_takes_every_process_along(up: Terminal) -> None:
    everything = descendants(up.process.pid)
    os.kill(up.process.pid, signal.SIGKILL)
    assert remaining(everything, within_s=60) == []


def test_second_ctrl_c_ends_everything_at_once(up: Terminal) -> None:
    everything = descendants(up.process.pid)
    up.interrupt()
    up.wait_for("stopping in order")
    time.sleep(1.1)  # an earlier one counts as the same signal
    if up.process.poll() is None:
        up.interrupt()
    up.wait()
    assert remaining(everything, within_s=60) == []


def test_ctrl_c_while_starting_leaves_no_process(starter: Starter, own_data: Path) -> None:
    starter.end()
    with Terminal("up", env=up_environ(own_data)) as terminal:
        terminal.wait_for("starting RabbitMQ")
        time.sleep(0.5)
        everything = descendants(terminal.process.pid)
        terminal.interrupt()
        terminal.wait()
        assert remaining(everything, within_s=60) == []


def test_detached_up_shows_status_and_down_stops_it(starter: Starter, own_data: Path) -> None:
    starter.end()
    environ = up_environ(own_data)
    started = hearth("up", "--detach", env=environ)
    try:
        assert started.returncode == 0, started.stderr
        everything = descendants(running(own_data).pid)
        status = hearth("status", "--json", env=environ)
        found = json.loads(status.stdout)
        assert status.returncode == 0
        assert found["status"] == "ready"
        assert set(found["processes"]) == {*SERVICES, "broker", "state", "coordination"}
        assert len(found["workers"]) == 1
        assert found["functions"] == ["hello"]
    finally:
        down = hearth("down", env=environ)
    assert down.returncode == 0
    assert remaining(everything, within_s=60) == []
    assert hearth("status", env=environ).returncode == 1


def test_configured_servers_are_used_instead_of_own_ones(servers: PrivateServers) -> None:
    with places.data_folder() as data:
        environ = up_environ(data) | servers.environ()
        with Terminal("up", env=environ) as terminal:
            terminal.wait_for(_READY)
            assert set(running(data).processes) == set(SERVICES)
            assert not (data / "rabbitmq").exists()
            terminal.interrupt()
            terminal.wait()


def test_taken_port_names_the_variable(servers: PrivateServers, starter: Starter, own_data: Path) -> None:
    starter.end()
    port = servers.broker_url.rpartition(":")[2].split("/")[0]
    tried = hearth("up", env=up_environ(own_data) | servers.environ() | {"HEARTH_PORT": port})
    assert tried.returncode == 1
    assert f"Port {port} of 127.0.0.1 is taken. Choose another: export HEARTH_PORT=PORT" in tried.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="masking the installed RabbitMQ takes root")
@pytest.mark.parametrize(
    ("then", "told"),
    [
        # an ordinary user on a system with apt
        ("exec unshare --user", "Run: sudo apt-get install rabbitmq-server"),
        # root on a system without apt
        ("mount --bind /dev/null /usr/bin/apt-get; exec", "Install rabbitmq-server with your system's package manager"),
    ],
)
def test_missing_rabbitmq_names_the_command_and_the_variable(then: str, told: str) -> None:
    masked = f"mount -t tmpfs none /usr/lib/rabbitmq && {then} {sys.executable} -m hearth.cli up"
    with places.data_folder() as data:
        data.chmod(0o777)
        tried = subprocess.run(
            ["unshare", "--mount", "sh", "-c", masked],
            env=os.environ | up_environ(data),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert tried.returncode == 1
    assert told in tried.stdout
    assert "export HEARTH_BROKER_URL=amqp://" in tried.stdout
