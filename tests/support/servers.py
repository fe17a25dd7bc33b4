"""Private servers for a test session: `hearth serve servers` as a child, so that nothing outlives pytest."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hearth.embedded.process import end_with
from hearth.embedded.rabbitmq import server_script
from tests.support.processes import command_of, descendants

#: RabbitMQ's boot on a loaded machine
_START_S = 150.0
_STOP_S = 60.0


class PrivateServers:
    """A context. The URLs are there once it is entered; `log` is what the servers printed.

    given: HEARTH_* variables of servers that run already and are used instead of own ones.
    """

    broker_url: str
    state_url: str
    coordination_url: str

    def __init__(self, data: Path, **given: str) -> None:
        self.log = data / "servers.log"
        self.data = data
        self._given = given

    @staticmethod
    def unavailable() -> str:
        """Why they can't run here; empty if they can."""
        if server_script() is None or shutil.which("epmd") is None:
            return "RabbitMQ is not installed: sudo apt-get install rabbitmq-server"
        return ""

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hearth.cli", "serve", "servers"],
                env=os.environ | self._given | {"HEARTH_DATA": str(self.data)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with(os.getpid(), signal.SIGTERM),
            )
        try:
            urls = self._first_line()
        except BaseException:
            self._stop()
            raise
        self.broker_url, self.state_url, self.coordination_url = (
            urls[name] for name in ("broker_url", "state_url", "coordination_url")
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def environ(self) -> dict[str, str]:
        """HEARTH_* variables for a service that uses them."""
        return {
            "HEARTH_BROKER_URL": self.broker_url,
            "HEARTH_STATE_URL": self.state_url,
            "HEARTH_COORDINATION_URL": self.coordination_url,
        }

    @property
    def parent_pid(self) -> int:
        """Of the process whose children the servers are."""
        return self._process.pid

    def pid(self, name: str) -> int:
        """Process of the broker, the state or the coordination server, for tests that kill one."""
        url = urlsplit(getattr(self, f"{name}_url"))
        for pid, _ in descendants(self._process.pid):
            command = command_of(pid)
            if ("beam" in command.partition(" ")[0]) if name == "broker" else f"{url.hostname}:{url.port} " in command:
                return pid
        raise LookupError(f"{name} is not among {descendants(self._process.pid)}")

    def _first_line(self) -> dict[str, str]:
        stdout = self._process.stdout
        assert stdout is not None
        until = time.monotonic() + _START_S
        while not select.select([stdout], [], [], 0.5)[0]:
            if time.monotonic() > until:
                raise TimeoutError(f"the servers were not ready after {_START_S:.0f} s:\n{self.log.read_text()}")
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the servers did not start:\n{self.log.read_text()}")
        return json.loads(line)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
