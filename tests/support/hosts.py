"""Hosts without machines: network namespaces on one bridge, each with an address, a name and a data folder of its own.

    head 10.77.0.1 (the bridge itself) ── w1 10.77.0.2
                                       └─ w2 10.77.0.3
Nothing leads out of them. The namespaces have no names: open descriptors hold them, so they go with this process.
For root only.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from hearth.embedded.process import end_with
from hearth.embedded.stackfile import StackFile
from hearth.embedded.valkey import server_binary
from tests.support import places
from tests.support.functions import zip_of
from tests.support.processes import children

Result = TypeVar("Result")

PREFIX = "10.77.0"
REGION, ACCOUNT = "us-east-1", "000000000000"
KEY, SECRET = "AKIAHOSTSTEST", "hosts-test-secret"
AMQP_PORT, STATE_PORT, COORDINATION_PORT, API_PORT = 5672, 6379, 6380, 4566
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_START_S, _STOP_S = 120.0, 60.0


def unavailable() -> str:
    """Why there can be no such hosts here; empty if there can."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if missing := [tool for tool in ("ip", "nsenter", "unshare") if shutil.which(tool) is None]:
        return f"{', '.join(missing)} not installed: sudo apt-get install iproute2 util-linux"
    return ""


def new_namespace() -> int:
    """A descriptor of a new network namespace; this process stays where it is."""

    def make() -> int:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()


class Host:
    """A namespace, and the processes that were started in it. Folders are below `scratch`."""

    def __init__(self, name: str, number: int, scratch: Path) -> None:
        self.name = name
        self.address = f"{PREFIX}.{number}"
        self.data = scratch / name
        self.data.mkdir()
        (self.data / "runtimes").symlink_to(places.RUNTIMES)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._descriptor = new_namespace()
        self.namespace = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        inside = ["nsenter", f"--net={self.namespace}", "ip"]
        subprocess.run([*inside, *arguments], check=True, capture_output=True, text=True)

    def start(self, what: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Its output goes to log(what)."""
        inside = [f"--net={self.namespace}", "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"']
        with self.log(what).open("ab") as log:
            self.processes[what] = subprocess.Popen(
                ["nsenter", *inside, self.name, *command],
                env=os.environ | {"HEARTH_DATA": str(self.data)} | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with(os.getpid(), signal.SIGTERM),
            )

    def hearth(self, what: str, *arguments: str, env: Mapping[str, str] | None = None, **settings: object) -> None:
        """Start a `hearth` command that stays."""
        env = dict(env or {}) | {f"HEARTH_{name.upper()}": str(value) for name, value in settings.items()}
        self.start(what, [sys.executable, "-m", "hearth.cli", *arguments], env)

    def stop(self, what: str) -> None:
        process = self.processes.pop(what)
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill(self, what: str) -> None:
        """kill -9 of it and of what it has started."""
        process = self.processes.pop(what)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, what: str) -> Path:
        return self.data / f"{what}.log"

    def workers(self) -> list[int]:
        return children(self.processes["fleet"].pid)

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function in a thread of this host: the sockets that it makes are the host's."""
        with self.threads(1) as one:
            return one.submit(function, *arguments).result()

    def threads(self, number: int) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(number, initializer=self._enter)

    def _enter(self) -> None:
        if _libc.setns(self._descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def remove(self) -> None:
        for what in reversed(list(self.processes)):
            self.stop(what)
        os.close(self._descriptor)


class Hosts:
    """A context: `head` runs servers and gateway, `w1` and `w2` are empty. `settings`: the gateway's."""

    def __init__(self, scratch: Path, **settings: object) -> None:
        self._settings = settings
        self._scratch = scratch
        self.hosts: list[Host] = []

    def __enter__(self) -> Self:
        try:
            self._build()
            self._start_servers()
            self.start_gateway()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for host in reversed(self.hosts):  # the workers before their servers
            host.remove()

    def _add(self, name: str, number: int) -> Host:
        self.hosts.append(Host(name, number, self._scratch))
        return self.hosts[-1]

    def _build(self) -> None:
        head = self.head = self._add("head", 1)
        head.ip("link", "add", "br0", "type", "bridge")
        head.ip("addr", "add", f"{head.address}/24", "dev", "br0")
        head.ip("link", "set", "br0", "up")
        self.w1, self.w2 = self._add("w1", 2), self._add("w2", 3)
        for host in (self.w1, self.w2):
            port = f"to-{host.name}"
            head.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            head.ip("link", "set", port, "master", "br0", "up")
            host.ip("addr", "add", f"{host.address}/24", "dev", "eth0")
            host.ip("link", "set", "eth0", "up")

    def cut(self, host: Host) -> None:
        """Take its cable out; nobody is told."""
        self.head.ip("link", "set", f"to-{host.name}", "down")

    def mend(self, host: Host) -> None:
        self.head.ip("link", "set", f"to-{host.name}", "up")

    def _start_servers(self) -> None:
        head = self.head
        # The embedded broker listens on the loopback; here also where the other hosts reach it.
        known = StackFile(head.data)
        listeners = f'{{"127.0.0.1", {known.port("amqp")}}}, {{"{head.address}", {AMQP_PORT}}}'
        folder = head.data / "rabbitmq"
        folder.mkdir(mode=0o700)
        (folder / "advanced.config").write_text(f"[{{rabbit, [{{tcp_listeners, [{listeners}]}}]}}].\n")
        self.broker_url = f"amqp://hearth:{known.password('broker')}@{head.address}:{AMQP_PORT}/hearth"
        binary = str(server_binary())
        for name, port in (("state", STATE_PORT), ("coordination", COORDINATION_PORT)):
            durable = "yes" if name == "state" else "no"
            options = ["--bind", head.address, "--port", str(port), "--appendonly", durable, "--save", ""]
            head.start(name, [binary, *options, "--dir", str(head.data), "--requirepass", "hosts"])
        self.state_url = f"redis://:hosts@{head.address}:{STATE_PORT}/0"
        self.coordination_url = f"redis://:hosts@{head.address}:{COORDINATION_PORT}/0"
        head.hearth("broker", "serve", "servers", state_url=self.state_url, coordination_url=self.coordination_url)
        self._until(lambda: '"broker_url"' in head.log("broker").read_text(), "broker")

    def start_gateway(self) -> None:
        """Return when it is connected; there need not be a worker."""
        self.head.hearth(
            "gateway",
            "serve",
            "gateway",
            bind=self.head.address,
            port=API_PORT,
            gateway_processes=1,
            broker_url=self.broker_url,
            state_url=self.state_url,
            coordination_url=self.coordination_url,
            access_keys=f"{KEY}:{SECRET}:{ACCOUNT}",
            **self._settings,
        )
        self._until(lambda: self.health().get("state") == "ok", "gateway")

    def join(self, host: Host, env: Mapping[str, str] | None = None, **settings: object) -> None:
        """The one command, on a worker host; its servers are all it is told."""
        host.hearth("fleet", "worker", "--broker", self.broker_url, "--state", self.state_url, env=env, **settings)

    def wait_workers(self, count: int, *, within_s: float = _START_S) -> None:
        self._until(lambda: self.health().get("workers") == count, f"{count} workers", within_s)

    def health(self) -> dict[str, Any]:
        """Of the gateway; empty while it doesn't answer."""
        import http.client

        def ask() -> dict[str, Any]:
            connection = http.client.HTTPConnection(self.head.address, API_PORT, timeout=5)
            try:
                connection.request("GET", "/health")
                return json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, ValueError):
                return {}
            finally:
                connection.close()

        return self.head.call(ask)

    def client(self, service: str, *, attempts: int = 1) -> Any:
        """A boto3 client; to be used in threads of a host."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=f"http://{self.head.address}:{API_PORT}",
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": attempts}, read_timeout=150, max_pool_connections=64),
        )

    def deploy(self, source: str, **configuration: Any) -> str:
        """Create a function and wait until it is active."""
        name = f"f-{uuid.uuid4().hex[:12]}"
        lambda_ = self.client("lambda")

        def create() -> None:
            lambda_.create_function(
                **{
                    "FunctionName": name,
                    "Runtime": "python3.11",
                    "Role": f"arn:aws:iam::{ACCOUNT}:role/test",
                    "Handler": "app.handler",
                    "Code": {"ZipFile": zip_of(source)},
                }
                | configuration
            )
            lambda_.get_waiter("function_active_v2").wait(FunctionName=name)

        self.head.call(create)
        return name

    def tails(self) -> str:
        logs = [path for host in self.hosts for path in sorted(host.data.glob("*.log"))]
        return "\n".join(f"--- {path.parent.name}/{path.name}\n{path.read_text()[-3000:]}" for path in logs)

    def _until(self, condition: Callable[[], bool], what: str, within_s: float = _START_S) -> None:
        until = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(f"no {what} after {within_s:.0f} s\n{self.tails()}")
            time.sleep(0.1)
