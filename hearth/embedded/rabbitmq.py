"""A private RabbitMQ node, from the host's rabbitmq-server but sharing nothing with the distribution's service.

Own node name, ports, cookie, configuration, data and log below one folder; own epmd, which ends with the node.
Several nodes make a cluster (`RabbitMQCluster`): one epmd and one cookie for all, a folder for each.
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
#: for queues that mappings read where HEARTH_MQ_BROKERS says `own`; nothing of the platform's lives there
USERS_VHOST = "/"
#: RabbitMQ closes the channel of a consumer that holds a delivery longer; above the longest function timeout (900 s)
CONSUMER_TIMEOUT_MS = 3_600_000
_START_S = 90.0
#: Idle schedulers sleep instead of spinning; distribution stays on the loopback.
_ERL_ARGS = "+sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
_TROUBLE = re.compile(r"\[(warning|error|critical|alert|emergency)\]")
_SCRIPTS = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/usr/lib64/rabbitmq/bin/rabbitmq-server"))
_CONTROL_S = 60.0
_NOT_INSTALLED = "RabbitMQ is not installed. Run: sudo apt-get install rabbitmq-server"


def server_script() -> Path | None:
    """The host's real start script; None if RabbitMQ is not installed."""
    for script in _SCRIPTS:
        if script.exists():
            return script
    found = shutil.which("rabbitmq-server")
    if found is None or Path(found).resolve().name == "rabbitmq-script-wrapper":
        return None
    return Path(found).resolve()


class Epmd:
    """The Erlang port mapper of private nodes, in the foreground: it ends with us, not on its own."""

    def __init__(self, home: Path, stack: StackFile) -> None:
        self._home = home
        self._stack = stack
        self.process: Process | None = None

    async def start(self) -> None:
        epmd = shutil.which("epmd")
        if epmd is None:
            raise StartFailed(_NOT_INSTALLED)
        port = self._stack.port("epmd")
        self.process = await Process.start(
            "epmd",
            [epmd, "-port", str(port), "-address", "127.0.0.1"],
            env={"PATH": _path()},
            cwd=self._home,
            on_line=lambda *_: None,
        )
        await until_ready(self.process, lambda: _accepts(port), deadline_s=10.0)

    async def stop(self) -> None:
        if self.process:
            await self.process.stop(2.0)


class RabbitMQ:
    """One node below `home`. Data survives restarts.

    node: its name, also that of its ports in the stack file. peer: a running node whose cluster it joins when it
    starts for the first time. epmd: a shared one, started and stopped by its owner; None: one of its own.
    """

    name = "broker"

    def __init__(
        self,
        home: Path,
        stack: StackFile,
        on_line: OnLine,
        *,
        node: str = "hearth",
        peer: str | None = None,
        cookie: str | None = None,
        epmd: Epmd | None = None,
    ) -> None:
        self._home = home
        self._stack = stack
        self._on_line = on_line
        self._peer = peer
        self._cookie = cookie
        self._suffix = "" if node == "hearth" else f"-{node}"
        self._node: Process | None = None
        self._shared_epmd = epmd
        self._epmd = epmd or Epmd(home, stack)
        # localhost: a node's data belong to its name, and a host's name changes (containers, laptops)
        self.node = f"{node}@localhost"
        self.log = home / "log" / "rabbitmq.log"

    @property
    def url(self) -> str:
        password = quote(self._stack.password("broker"), safe="")
        return f"amqp://{USER}:{password}@127.0.0.1:{self._stack.ports['amqp' + self._suffix]}/{VHOST}"

    @property
    def pid(self) -> int | None:
        return self._node.pid if self._node and self._node.running else None

    async def start(self) -> None:
        script = server_script()
        if script is None:
            raise StartFailed(_NOT_INSTALLED)
        amqp_port, _ = (self._stack.port(f"{kind}{self._suffix}") for kind in ("amqp", "distribution"))
        self._write_files(amqp_port)
        # In the foreground and before the node: else the node would start a daemon that outlives it.
        if self._shared_epmd is None:
            await self._epmd.start()
        try:
            self._node = await Process.start(
                self.name, [str(script)], env=self._environment(), cwd=self._home, on_line=self._told
            )
            await until_ready(self._node, lambda: _speaks_amqp(amqp_port), deadline_s=_START_S, log=self.log)
        except BaseException:
            if self._shared_epmd is None:
                await self._epmd.stop()
            raise

    async def wait(self) -> int:
        """Ends when either the node or its epmd has: one without the other is of no use."""
        assert self._node is not None
        assert self._epmd.process is not None
        ends = [asyncio.ensure_future(process.wait()) for process in (self._node, self._epmd.process)]
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
            if self._shared_epmd is None:
                await self._epmd.stop()

    def kill(self) -> None:
        own = None if self._shared_epmd else self._epmd.process
        for process in (self._node, own):
            if process:
                process.kill()

    async def control(self, *arguments: str) -> str:
        """What `rabbitmqctl ARGUMENTS` prints about the running node. Raises StartFailed with its message."""
        script = server_script()
        assert script is not None, "the node runs"
        lines: list[str] = []
        process = await Process.start(
            "rabbitmqctl",
            [str(script.with_name("rabbitmqctl")), "--silent", "--node", self.node, *arguments],
            env=self._environment(),
            cwd=self._home,
            on_line=lambda _name, line: lines.append(line),
        )
        try:
            async with asyncio.timeout(_CONTROL_S):
                status = await process.wait()
        finally:
            await process.stop(1.0)
        text = "\n".join(lines)
        if status:
            raise StartFailed(f"rabbitmqctl {' '.join(arguments)}: {text}")
        return text

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
            "vhosts": [{"name": VHOST}, {"name": USERS_VHOST}],
            "users": [{"name": USER, "password": password, "tags": "administrator"}],
            "permissions": [
                {"user": USER, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
                for vhost in (VHOST, USERS_VHOST)
            ],
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
        if self._peer is not None:
            files["rabbitmq.conf"] += (
                "cluster_formation.peer_discovery_backend = classic_config\n"
                f"cluster_formation.classic_config.nodes.1 = {self._peer}\n"
            )
        if self._cookie is not None or not (self._home / ".erlang.cookie").exists():
            files[".erlang.cookie"] = self._cookie or secrets.token_hex(20)
        for name, content in files.items():
            _write_private(self._home / name, content)
        (self._home / ".erlang.cookie").chmod(0o400)

    def _environment(self) -> dict[str, str]:
        home = self._home
        return {
            "PATH": _path(),
            "HOME": str(home),  # where Erlang looks for the cookie
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._stack.ports["epmd"]),
            "ERL_CRASH_DUMP": str(home / "log" / "erl_crash.dump"),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._stack.ports[f"distribution{self._suffix}"]),
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


class RabbitMQCluster:
    """Several private nodes of one cluster on this host, each in a folder of its own below `home`.

    They are started one after the other: the first makes the cluster, the others join it. A node that was killed
    comes back with its data by `nodes[n].start()`.
    """

    def __init__(self, home: Path, stack: StackFile, on_line: OnLine, *, count: int = 3) -> None:
        self._home = home
        self._epmd = Epmd(home, stack)
        cookie = secrets.token_hex(20)
        self.nodes: list[RabbitMQ] = []
        for number in range(count):
            name = f"hearth{number}"
            peer = self.nodes[0].node if self.nodes else None
            self.nodes.append(
                RabbitMQ(home / name, stack, on_line, node=name, peer=peer, cookie=cookie, epmd=self._epmd)
            )

    @property
    def url(self) -> str:
        """Every node's URL, as HEARTH_BROKER_URL takes them."""
        return ",".join(node.url for node in self.nodes)

    async def start(self) -> None:
        """Return when all nodes are members. Raises StartFailed, with nothing left running."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            await self._epmd.start()
            for node in self.nodes:
                await node.start()
        except BaseException:
            await self.stop(5.0)
            raise

    async def stop(self, grace_s: float) -> None:
        try:
            await asyncio.gather(*(node.stop(grace_s) for node in self.nodes))
        finally:
            await self._epmd.stop()


def _path() -> str:
    return os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")


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
