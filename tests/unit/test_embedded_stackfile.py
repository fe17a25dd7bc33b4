from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from hearth.embedded.stackfile import AlreadyRunning, Running, StackFile, live


def a_running(pid: int = 7) -> Running:
    return Running(pid=pid, endpoint="http://x", broker_url="b", state_url="s", coordination_url="c")


def test_ports_and_passwords_are_remembered_in_a_private_file(tmp_path: Path) -> None:
    first = StackFile(tmp_path)
    port, password = first.port("amqp"), first.password("broker")
    again = StackFile(tmp_path)
    assert (again.port("amqp"), again.password("broker")) == (port, password)
    assert stat.S_IMODE((tmp_path / "run" / "stack.json").stat().st_mode) == 0o600


def test_taken_port_is_replaced(tmp_path: Path) -> None:
    port = StackFile(tmp_path).port("amqp")
    with socket.create_server(("127.0.0.1", port)):
        assert StackFile(tmp_path).port("amqp") != port


def test_ports_of_one_folder_differ(tmp_path: Path) -> None:
    stack = StackFile(tmp_path)
    assert len({stack.port(name) for name in "abcdef"}) == 6


def test_second_holder_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    first = StackFile(tmp_path)
    first.acquire()
    first.running = a_running()
    first.save()
    with pytest.raises(AlreadyRunning, match=r"pid 7"):
        StackFile(tmp_path).acquire()
    first.release()
    StackFile(tmp_path).acquire()


def test_record_of_a_dead_platform_is_not_live(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        stack = StackFile(tmp_path)
        stack.acquire()
        stack.running = a_running(os.getpid())
        stack.save()
        os._exit(0)  # as kill -9: nothing is taken back
    os.waitpid(child, 0)
    assert StackFile(tmp_path).running is not None
    assert live(tmp_path) is None


def test_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text("{")
    stack = StackFile(tmp_path)
    stack.port("amqp")
    assert StackFile(tmp_path).ports == stack.ports
