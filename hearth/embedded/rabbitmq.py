"""A private RabbitMQ node, from the host's rabbitmq-server but sharing nothing with the distribution's service.

Own node name, ports, cookie, configuration, data and log below one folder; own epmd, which ends with the node.
AMQP, distribution and epmd listen on the loopback only. One user with a random password, no guest, no plugins.
The scripts below /usr/lib/rabbitmq are called directly: Debian's command in PATH switches to the user rabbitmq.
Sources: RabbitMQ's configuration and networking guides; the scripts rabbitmq-env and rabbitmq-server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
from pathlib import Path
from urllib.parse import quote

from hearth.embedded.process import OnLine, Process, StartFailed, until_ready
from hearth.embedded.stackfile import StackFile

USER = VHOST = "hearth"
#: RabbitMQ closes the channel of a consumer that holds a delivery longer; above the longest function timeout (900 s)
CONSUMER_TIMEOUT_MS = 3_600_000
_START_S = 90.0
#: Idle schedulers sleep instead of spinning; distribution stays on the loopback.
_ERL_ARGS = "+sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
_TROUBLE = re.compile(r"\[(warning|error|critical|alert|emergency)\]")
_SCRIPTS = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/usr/lib64/rabbitmq/bin/rabbitmq-server"))


def server_script() -> Path | None:
    """The host's real start script; None if RabbitMQ is not installed."""
    for script in _SCRIPTS:
        if script.exists():
            return script
    found = shutil.which("rabbitmq-server")
    if found is None or Path(found).resolve().name == "rabbitmq-script-wrapper":
        return None
    return Path(found).resolve()


class RabbitMQ:
    """One node below `home`. Data survives restarts."""

    name = "broker"

    def __init__(self, home: Path, stack: StackFile, on_line: OnLine) -> None:
        self._home = home
        self._stack = stack
        self._on_line = on_line
        self._node: Process | None = None
        self._epmd: Process | None = None
        self.log = home / "log" / "rabbitmq.log"

    @property
    def url(self) -> str:
        password = quote(self._stack.password("broker"), safe="")
        return f"amqp://{USER}:{password}@127.0.0.1:{self._stack.ports['amqp']}/{VHOST}"

    @property
    def pid(self) -> int | None:
        return self._node.pid if self._node and self._node.running else None

    async def start(self) -> None:
        script = server_script()
        epmd = shutil.which("epmd")
        if script is None or epmd is None:
            raise StartFailed("RabbitMQ is not installed. Run: sudo apt-get install rabbitmq-server")
        ports = {name: self._stack.port(name) for name in ("amqp", "distribution", "epmd")}
        self._write_files(ports["amqp"])
        environment = self._environment(ports)
        # In the foreground and before the node: else the node would start a daemon that outlives it.
        self._epmd = await Process.start(
            "epmd",
            [epmd, "-port", str(ports["epmd"]), "-address", "127.0.0.1"],
            env=environment,
            cwd=self._home,
            on_line=lambda *_: None,
        )
        try:
            await until_ready(self._epmd, lambda: _accepts(ports["epmd"]), deadline_s=10.0)
            self._node = await Process.start(
                self.name, [str(script)], env=environment, cwd=self._home, on_line=self._told
            )
            await until_ready(self._node, lambda: _speaks_amqp(ports["amqp"]), deadline_s=_START_S, log=self.log)
        except BaseException:
            await self._epmd.stop(2.0)
            raise

    async def wait(self) -> int:
        """Ends when either the node or its epmd has: one without the other is of no use."""
        assert self._node is not None
        assert self._epmd is not None
        ends = [asyncio.ensure_future(process.wait()) for process in (self._node, self._epmd)]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return done.pop().result()

    async def stop(self, grace_s: float) -> None:
        """The node ends by SIGTERM (it closes its queues first), then its epmd."""
        try:
            if self._node:
                await self._node.stop(grace_s)
        finally:
            if self._epmd:
                await self._epmd.stop(2.0)

    def kill(self) -> None:
        for process in (self._node, self._epmd):
            if process:
                process.kill()

    def _told(self, name: str, line: str) -> None:
        """Banner and boot messages are in its log file; only trouble is worth a line in ours."""
        if _TROUBLE.search(line):
            self._on_line(name, line)

    def _write_files(self, amqp_port: int) -> None:
        for folder in (self._home, self._home / "log", self._home / "mnesia", self._home / "generated"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self._stack.password("broker")
        # Read at every start: the user's password is right even if stack.json was lost and made anew.
        definitions = {
            "vhosts": [{"name": VHOST}],
            "users": [{"name": USER, "password": password, "tags": "administrator"}],
            "permissions": [{"user": USER, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}],
        }
        files = {
            "definitions.json": json.dumps(definitions),
            "enabled_plugins": "[].\n",
            "rabbitmq.conf": (
                f"listeners.tcp.1 = 127.0.0.1:{amqp_port}\n"
                f"load_definitions = {self._home / 'definitions.json'}\n"
                f"consumer_timeout = {CONSUMER_TIMEOUT_MS}\n"
                "loopback_users.guest = true\n"
                "log.file.level = info\n"
                "log.file.rotation.size = 10485760\n"
                "log.file.rotation.count = 2\n"
                "log.console = true\n"
                "log.console.level = warning\n"
                "disk_free_limit.absolute = 100MB\n"
            ),
        }
        if not (self._home / ".erlang.cookie").exists():
            files[".erlang.cookie"] = secrets.token_hex(20)
        for name, content in files.items():
            _write_private(self._home / name, content)
        (self._home / ".erlang.cookie").chmod(0o400)

    def _environment(self, ports: dict[str, int]) -> dict[str, str]:
        home = self._home
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": str(home),  # where Erlang looks for the cookie
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(ports["epmd"]),
            "ERL_CRASH_DUMP": str(home / "log" / "erl_crash.dump"),
            # localhost: a node's data belong to its name, and a host's name changes (containers, laptops)
            "RABBITMQ_NODENAME": "hearth@localhost",
            "RABBITMQ_DIST_PORT": str(ports["distribution"]),
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"),  # not /etc/rabbitmq/rabbitmq-env.conf
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_MNESIA_DIR": str(home / "mnesia" / "hearth"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(home / "mnesia" / "plugins"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": str(self.log),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERL_ARGS,
            # the script then becomes the Erlang VM instead of staying its parent: our signals reach the node
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def _write_private(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(content)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _speaks_amqp(port: int) -> bool:
    """The listener opens last in the boot; connection.start (a method frame, type 1) is the node's own answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"AMQP\x00\x00\x09\x01")
        async with asyncio.timeout(5.0):
            return await reader.readexactly(1) == b"\x01"
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
