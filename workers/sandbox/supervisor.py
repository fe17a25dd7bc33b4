"""The worker's door to sandboxes: finds the best isolation the host allows, spawns, stops.

The only user of processes in the worker, through one spawner process (see isolation/spawner.py). A level below
the best is never taken silently: `missing` says in sentences what the host refused, and a warning is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hearth.clock import Deadline
from workers.sandbox.isolation import command
from workers.sandbox.isolation.cgroups import Cgroup, CgroupTree, Limits
from workers.sandbox.isolation.client import SpawnerClient, SpawnerRefused
from workers.sandbox.isolation.seccomp import compile_filter
from workers.sandbox.isolation.spec import (
    Exit,
    IsolationLevel,
    IsolationUnavailable,
    Mount,
    SandboxSpec,
    SpawnFailed,
)
from workers.sandbox.platform_relay import PlatformRelay

__all__ = [
    "Exit",
    "IsolationLevel",
    "IsolationUnavailable",
    "Mount",
    "SandboxProcess",
    "SandboxSpec",
    "SpawnFailed",
    "Supervisor",
]

Want = Literal["auto", "full", "reduced", "process"]

_INFO_S = 5.0  # until bwrap has made its namespaces
_STOP_S = 5.0
_TRIAL_S = 10.0


@dataclass(slots=True)
class _Parts:
    """What a sandbox holds besides its process; given back by stop()."""

    cgroup: Cgroup
    relay: PlatformRelay | None = None
    temporary_dir: Path | None = None


class SandboxProcess:
    """A running sandbox.

    pid: host pid of the inner pid 1 (level process: of the command). listener: the Runtime API's endpoint, listening
    and non-blocking. output_fd: non-blocking read end of a pipe with stdout and stderr. exited: resolves when the
    runtime command has ended. All belong to the sandbox and are closed by stop().
    """

    def __init__(self, supervisor: Supervisor, sandbox_id: str, parts: _Parts) -> None:
        self.sandbox_id = sandbox_id
        self.pid = 0
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.listener: socket.socket
        self.output_fd = -1
        self._supervisor = supervisor
        self._parts = parts
        self._pidfd = -1
        self._outer_pid = 0
        self._stopping: asyncio.Task[None] | None = None

    def peak_memory_mb(self) -> int:
        """Most memory held so far, for REPORT; 0 if unknown."""
        return self._parts.cgroup.peak_memory_mb()

    def set_cpu(self, cores: float | None) -> None:
        """Change the CPU quota; None lifts it. No effect where CPU can't be limited (see Supervisor.missing)."""
        self._parts.cgroup.set_cpu(cores)

    async def stop(self) -> None:
        """Kill the whole tree, reap it, give everything back. Idempotent; goes on if its caller is cancelled."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())  # owned here, awaited by every caller
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        try:
            async with Deadline.after(_STOP_S).scope():
                await self._kill()
                await self._supervisor._remove(self._parts.cgroup)
        except TimeoutError:
            self._supervisor._log.error(
                "sandbox does not end", extra={"action": "sandbox_stuck", "sandbox_id": self.sandbox_id}
            )
        finally:
            await self._release()

    async def _kill(self) -> None:
        if self._pidfd >= 0:
            # The inner pid 1: with it the kernel kills everything in its pid namespace.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        elif self._outer_pid:
            await self._supervisor._kill_outer(self.sandbox_id)
        if self._outer_pid:
            await asyncio.shield(self.exited)
        if self._pidfd >= 0:
            await _readable(self._pidfd)  # `exited` may come before the last of the tree has ended

    async def _release(self) -> None:
        self._supervisor._live.pop(self.sandbox_id, None)
        if self._parts.relay is not None:
            await self._parts.relay.close()
        if hasattr(self, "listener"):
            self.listener.close()
        for descriptor in (self.output_fd, self._pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self.output_fd = self._pidfd = -1
        if self._parts.temporary_dir is not None:
            await asyncio.to_thread(shutil.rmtree, self._parts.temporary_dir, ignore_errors=True)

    def _ended(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(Exit.of(code, oom_killed=self._parts.cgroup.oom_kills() > 0))


class Supervisor:
    """Spawns sandboxes at one level for the life of a worker. Make it with `create`, end it with `close`."""

    def __init__(
        self, mode: command.Mode, setup: dict[str, Any], tree: CgroupTree, platform: tuple[str, int] | None, log: Any
    ) -> None:
        self.level = IsolationLevel.PROCESS
        self.missing: tuple[str, ...] = ()
        self._mode = mode
        self._setup = setup
        self._tree = tree
        self._platform = platform
        self._log = log
        self._usr_links = command.usr_links()
        self._client: SpawnerClient | None = None
        self._starting = asyncio.Lock()
        self._live: dict[str, SandboxProcess] = {}
        self._leftover_cgroups: list[Cgroup] = []

    @classmethod
    async def create(
        cls, *, want: Want, platform: tuple[str, int] | None, pool: int, log: logging.Logger | logging.LoggerAdapter[Any]
    ) -> Supervisor:
        """Find the best level by trying: a level counts when a trial sandbox has run in it.

        want: a named level is had exactly (`reduced` accepts full) or refused. platform: host and port of the
        platform's listener for functions; None: functions reach nothing. pool: network namespaces kept ready.
        Raises IsolationUnavailable.
        """
        return await _Search(platform, pool, log).find(want)

    async def spawn(self, spec: SandboxSpec) -> SandboxProcess:
        """Start a sandbox; returns when its namespaces stand and its command is about to run.

        Raises SpawnFailed: nothing is left of it. A caller that is cancelled leaves nothing behind either.
        """
        task = asyncio.create_task(self._spawn(spec))  # owned by this call, also when it is cancelled
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(SpawnFailed):
                await (await task).stop()
            raise

    async def close(self) -> None:
        """Stop every sandbox, end the spawner, remove the cgroups. Idempotent."""
        await asyncio.gather(*(process.stop() for process in list(self._live.values())))
        if self._client is not None:
            await self._client.close()
            self._client = None
        await asyncio.to_thread(self._tree.close)

    async def _spawn(self, spec: SandboxSpec) -> SandboxProcess:
        if spec.sandbox_id in self._live:
            raise SpawnFailed(f"sandbox {spec.sandbox_id} exists")
        limits = Limits(spec.memory_mb, spec.cpu_cores, spec.cpu_weight, spec.pids_max)
        try:
            cgroup = self._tree.make(spec.sandbox_id, limits)
        except OSError as exc:
            raise SpawnFailed(f"cgroup of {spec.sandbox_id}: {exc}") from exc
        process = SandboxProcess(self, spec.sandbox_id, _Parts(cgroup))
        self._live[spec.sandbox_id] = process
        try:
            await self._start(spec, process)
        except BaseException as exc:
            await process.stop()
            raise SpawnFailed(str(exc)) from exc if isinstance(exc, OSError) else exc
        return process

    async def _start(self, spec: SandboxSpec, process: SandboxProcess) -> None:
        cgroup = process._parts.cgroup
        request: dict[str, Any] = {
            "id": spec.sandbox_id,
            "tasks": [str(file) for file in cgroup.tasks_files],
            "unified": str(cgroup.unified) if cgroup.unified else None,
        }
        request |= self._isolated(spec) if self._mode.namespaces else await self._plain(spec, process)
        client = await self._running_client()
        process._outer_pid, descriptors = await client.spawn(request, process._ended)
        process.output_fd, info, *listeners = descriptors
        sockets = [socket.socket(fileno=descriptor) for descriptor in listeners]
        try:
            if sockets:
                process.listener = sockets.pop(0)
            if sockets and self._platform is not None:
                process._parts.relay = PlatformRelay(sockets.pop(), self._platform)
                await process._parts.relay.start()
            process.pid = await _inner_pid(info)
        finally:
            os.close(info)
        if not process.pid:
            raise SpawnFailed(f"the sandbox could not be built: {await _said(process)}")
        process._pidfd = _pidfd_of_child(process.pid, process._outer_pid)

    def _isolated(self, spec: SandboxSpec) -> dict[str, Any]:
        platform = self._platform is not None
        options = command.bubblewrap_options(spec, self._mode, usr_links=self._usr_links, platform=platform)
        encoded = [{"source": str(word.path)} if isinstance(word, command.Source) else word for word in options]
        return {"options": encoded, "command": command.command_inside(spec, self._mode)}

    async def _plain(self, spec: SandboxSpec, process: SandboxProcess) -> dict[str, Any]:
        process.listener = socket.create_server(("127.0.0.1", 0))
        process.listener.setblocking(False)
        process._parts.temporary_dir = Path(tempfile.mkdtemp(prefix="hearth-sandbox-"))
        words, environment = command.plain_command(
            spec,
            runtime_api="127.0.0.1:{}".format(process.listener.getsockname()[1]),
            endpoint_url="http://{}:{}".format(*self._platform) if self._platform else None,
            temporary_dir=process._parts.temporary_dir,
        )
        return {"command": words, "environment": environment, "directory": str(spec.code_dir)}

    async def _running_client(self) -> SpawnerClient:
        """A spawner that died (the kernel's OOM killer, an operator) is replaced by the next spawn."""
        async with self._starting:
            if self._client is None or not self._client.alive:
                if self._client is not None:
                    await self._client.close()
                try:
                    self._client = await SpawnerClient.start(self._setup)
                except SpawnerRefused as exc:
                    raise SpawnFailed(str(exc)) from exc
            return self._client

    async def _kill_outer(self, sandbox_id: str) -> None:
        if self._client is not None:
            await self._client.kill(sandbox_id)

    async def _remove(self, cgroup: Cgroup) -> None:
        """rmdir answers EBUSY for a moment after the last process has ended."""
        delay_s = 0.001
        while not cgroup.remove():
            cgroup.kill()
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, 0.05)


class _Search:
    """Tries levels from the best down; gathers in sentences what each lacks."""

    def __init__(self, platform: tuple[str, int] | None, pool: int, log: Any) -> None:
        self._platform, self._pool, self._log = platform, pool, log
        self._root = os.geteuid() == 0
        self._bwrap = shutil.which("bwrap")
        self._refusals: list[str] = []
        self._seccomp, self._no_seccomp = _seccomp()

    async def find(self, want: Want) -> Supervisor:
        tree = await asyncio.to_thread(CgroupTree.open, os.getpid())
        try:
            supervisor = await self._best(tree, want)
        except BaseException:
            await asyncio.to_thread(tree.close)
            raise
        if want not in ("auto", supervisor.level) and not (want == "reduced" and supervisor.level == "full"):
            missing = supervisor.missing
            await supervisor.close()
            raise IsolationUnavailable(want, missing)
        if supervisor.level is not IsolationLevel.FULL:
            self._log.warning(
                "sandboxes are not fully isolated",
                extra={"action": "isolation_level", "level": str(supervisor.level), "missing": supervisor.missing},
            )
        return supervisor

    async def _best(self, tree: CgroupTree, want: Want) -> Supervisor:
        if want != "process":
            for mode in self._modes():
                if supervisor := await self._attempt(mode, tree):
                    return supervisor
        else:
            self._refusals.append("Level process was asked for by name.")
        process = command.Mode(namespaces=False, user_namespace=False, own_uid=False, seccomp=False)
        supervisor = await self._attempt(process, tree)
        if supervisor is None:
            raise IsolationUnavailable("process", tuple(self._refusals))
        return supervisor

    def _modes(self) -> Sequence[command.Mode]:
        if self._bwrap is None:
            self._refusals.append("bubblewrap (the program bwrap) is not installed.")
            return ()
        seccomp = bool(self._seccomp)
        if not self._root:
            return (command.Mode(True, True, False, seccomp),)
        return (
            command.Mode(True, True, True, seccomp),
            command.Mode(True, False, True, seccomp),
            command.Mode(True, True, False, seccomp),
            command.Mode(True, False, False, seccomp),
        )

    async def _attempt(self, mode: command.Mode, tree: CgroupTree) -> Supervisor | None:
        setup = {
            "bwrap": self._bwrap,
            "namespaces": mode.namespaces,
            "user_namespace": mode.user_namespace,
            "own_uid": mode.own_uid,
            "seccomp": self._seccomp.hex() if mode.seccomp else "",
            "platform": self._platform is not None,
            "pool": self._pool,
        }
        supervisor = Supervisor(mode, setup, tree, self._platform, self._log)
        try:
            await _trial(supervisor)
        except (SpawnFailed, OSError) as exc:
            self._refusals.append(f"{_mode_name(mode, self._root)} failed: {exc}.".replace("..", "."))
            if supervisor._client is not None:
                await supervisor._client.close()
            return None
        supervisor.missing = self._missing(mode, tree)
        if mode.namespaces:
            supervisor.level = IsolationLevel.REDUCED if supervisor.missing else IsolationLevel.FULL
        return supervisor

    def _missing(self, mode: command.Mode, tree: CgroupTree) -> tuple[str, ...]:
        sentences = list(self._refusals)
        if not mode.namespaces:
            sentences.append(
                "Functions are plain processes of the worker's user: no private files, processes, network or "
                "system call filter."
            )
        else:
            if not mode.user_namespace:
                sentences.append("Sandboxes have no user namespace of their own.")
            if self._root and not mode.own_uid:
                sentences.append("Sandboxes share the worker's user id.")
            if not mode.seccomp:
                sentences.append(f"System calls are not filtered: {self._no_seccomp}.")
        sentences += [f"No {name} limit: {why}." for name, why in tree.missing.items()]
        return tuple(sentences)


def _mode_name(mode: command.Mode, root: bool) -> str:
    if not mode.namespaces:
        return "A plain process"
    user = "with a user namespace" if mode.user_namespace else "without a user namespace"
    uid = ("under a user id of its own" if mode.own_uid else "under the worker's user id") if root else "as this user"
    return f"A sandbox {user}, {uid},"


async def _trial(supervisor: Supervisor) -> None:
    """Run `true` in a sandbox; raises SpawnFailed with what it said unless that succeeds."""
    with tempfile.TemporaryDirectory(prefix="hearth-trial-") as empty:
        Path(empty).chmod(0o755)
        spec = SandboxSpec(f"trial-{time.monotonic_ns()}", ("/usr/bin/true",), {"PATH": "/usr/bin"}, Path(empty))
        process = await supervisor.spawn(spec)
        try:
            async with Deadline.after(_TRIAL_S).scope():
                result = await process.exited
            if result.status != 0:
                raise SpawnFailed(await _said(process) or f"it ended with {result}")
        except TimeoutError as exc:
            raise SpawnFailed("it did not end") from exc
        finally:
            await process.stop()


def _seccomp() -> tuple[bytes, str]:
    """The compiled filter, or nothing and why."""
    try:
        return compile_filter(), ""
    except (ImportError, OSError, RuntimeError) as exc:
        return b"", f"libseccomp can't be used ({exc})"


async def _inner_pid(info: int) -> int:
    """From bwrap's --info-fd, which comes in pieces; 0 when bwrap ended without making a child."""
    text = b""
    async with Deadline.after(_INFO_S).scope():
        while not text.rstrip().endswith(b"}"):
            await _readable(info)
            piece = os.read(info, 4096)
            if not piece:
                return 0
            text += piece
    return int(json.loads(text)["child-pid"])


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _pidfd_of_child(pid: int, parent: int) -> int:
    """A handle on the inner process; -1 if it has already ended (then `exited` is on its way)."""
    try:
        descriptor = os.pidfd_open(pid)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (ProcessLookupError, FileNotFoundError):
        return -1
    if int(fields[1]) != parent:  # the number was reused already
        os.close(descriptor)
        return -1
    return descriptor


async def _said(process: SandboxProcess) -> str:
    """What a sandbox that failed at once has printed: bwrap's own words."""
    await process.exited
    with contextlib.suppress(BlockingIOError):
        return os.read(process.output_fd, 4096).decode(errors="replace").strip()
    return ""
