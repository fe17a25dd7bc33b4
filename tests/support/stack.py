"""The whole platform for tests: the services as the processes that `hearth up` starts, on free ports."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Self

from hearth.embedded.process import end_with
from hearth.embedded.stackfile import free_port
from tests.support.companion import SERVICES
from tests.support.functions import zip_of
from tests.support.processes import children
from tests.support.servers import PrivateServers

_START_S = 90.0
_STOP_S = 45.0
_REGION = "us-east-1"


class PlatformStack:
    """A context. `settings` are further HEARTH_* values by lower-case name, such as workers=2."""

    def __init__(self, data: Path, servers: PrivateServers, **settings: object) -> None:
        self.data = data
        self.servers = servers
        self.port = free_port()
        self.function_port = free_port(taken=[self.port])
        #: where the platform looks for the services of tests.support.companion; nobody listens unless a test starts it
        self.companion_port = free_port(taken=[self.port, self.function_port])
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.logs: dict[str, Path] = {}
        #: botocore's `retries` of clients that don't set their own; none, so that tests see every error
        self.retries: dict[str, Any] = {"total_max_attempts": 1}
        self._settings = settings
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            for name in ("gateway", "fleet", "poller", "orchestrator"):
                self.start(name)
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()
        # the gateway first, the fleet last: pollers still need workers to finish
        for name in sorted(self._processes, key=lambda name: (name != "gateway", name == "fleet")):
            self.stop(name)

    # --- its processes --------------------------------------------------------------------------------------
    def start(self, name: str, alias: str = "") -> None:
        """Start a service (gateway, fleet, ...); its output goes to logs[name]. `alias`: one more of its kind."""
        known = alias or name
        self.logs[known] = self.data / f"{known}-{self.port}.log"
        with self.logs[known].open("ab") as log:
            self._processes[known] = subprocess.Popen(
                [sys.executable, "-m", "hearth.cli", "serve", name],
                env=os.environ | self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with(os.getpid(), signal.SIGTERM),
            )

    def stop(self, name: str) -> None:
        """In order, as Ctrl-C does; by force after a while."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def pids(self, kind: str) -> list[int]:
        """A service's own process by its name; `worker`: the fleet's children, oldest first."""
        if kind == "worker":
            return children(self._processes["fleet"].pid)
        return [self._processes[kind].pid]

    def kill(self, kind: str, number: int = 0) -> int:
        """kill -9 of one process; returns its pid."""
        pid = self.pids(kind)[number]
        os.kill(pid, signal.SIGKILL)
        return pid

    def revive(self, name: str, alias: str = "") -> None:
        """Start a service that was killed once more."""
        self._processes[alias or name].wait()
        self.start(name, alias)

    def wait_ready(self) -> None:
        """Until /health answers 200; raises TimeoutError with the ends of the logs."""
        until = time.monotonic() + _START_S
        while self.health()[0] != 200:
            ended = [name for name, process in self._processes.items() if process.poll() is not None]
            if ended or time.monotonic() > until:
                raise TimeoutError(f"not ready; ended: {ended}\n{self.tails()}")
            time.sleep(0.1)

    def health(self) -> tuple[int, dict[str, Any]]:
        """(status, body) of /health; (0, {}) while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def isolation(self) -> str:
        """The level that the workers run with, from the health page."""
        return str(self.health()[1]["isolation"])

    def tails(self, characters: int = 12_000) -> str:
        """The last of what each service logged."""
        return "\n".join(f"--- {name}\n" + path.read_text()[-characters:] for name, path in self.logs.items())

    # --- its API --------------------------------------------------------------------------------------------
    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client with the development key; `config`: members of botocore's Config."""
        import boto3
        from botocore.config import Config

        config = {"retries": self.retries} | config
        key = f"{service}{sorted(config.items())}"
        if key not in self._clients:
            options = {"read_timeout": 120, "max_pool_connections": 128} | config
            self._clients[key] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=_REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(**options),
            )
        return self._clients[key]

    def deploy(self, name: str | None, source: str | bytes, **configuration: Any) -> str:
        """Create a function from source text (app.py, app.handler) or a zip; wait until active; return its name.

        name: None for a fresh one. configuration: members of CreateFunction (Timeout, MemorySize, Environment, ...).
        """
        name = name or f"f-{uuid.uuid4().hex[:12]}"
        parameters = {
            "FunctionName": name,
            "Runtime": "python3.11",
            "Role": "arn:aws:iam::000000000000:role/test",
            "Handler": "app.handler",
            "Timeout": 30,  # a slow machine is not to time anything out that is not about that
            "Code": {"ZipFile": zip_of(source) if isinstance(source, str) else source},
        } | configuration
        lambda_ = self.client("lambda")
        lambda_.create_function(**parameters)
        lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
        return name

    def invoke(self, name: str, event: Any = None, **parameters: Any) -> dict[str, Any]:
        """The answer of Invoke, with Payload read and parsed (or left as bytes if it is no JSON)."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **parameters)
        answer["Payload"] = answer["Payload"].read()
        with contextlib.suppress(ValueError):
            answer["Payload"] = json.loads(answer["Payload"])
        return answer

    def environ(self) -> dict[str, str]:
        """For a `hearth` command or an AWS tool that is to talk to this platform."""
        return {
            "HEARTH_DATA": str(self.data),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": _REGION,
        }

    def _environ(self) -> dict[str, str]:
        own = {
            "HEARTH_DATA": self.data,
            "HEARTH_PORT": self.port,
            "HEARTH_FUNCTION_PORT": self.function_port,
            "HEARTH_GATEWAY_PROCESSES": 1,
            "HEARTH_DRAIN_SECONDS": 10,
            # runtimes that boot for functions which never come cost a short-lived platform more than it does
            "HEARTH_STEM_CELLS": 0,
            "HEARTH_AWS_ENDPOINTS": ",".join(f"{name}=http://127.0.0.1:{self.companion_port}" for name in SERVICES),
        } | {f"HEARTH_{name.upper()}": value for name, value in self._settings.items()}
        return self.servers.environ() | {name: str(value) for name, value in own.items()}
