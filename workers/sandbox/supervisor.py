"""The worker's door to sandboxes: finds the best isolation the host allows, spawns, stops.

The only user of processes in the worker, through one spawner process (see isolation/spawner.py). A level below
the best is never taken silently: `missing` says in sentences what the host refused, and a warning is logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from hearth.clock import Deadline
from workers.sandbox.isolation import command
from workers.sandbox.isolation.cgroups import CgroupTree
from workers.sandbox.isolation.client import SpawnerClient, SpawnerRefused
from workers.sandbox.isolation.disk import SMALLEST_MB
from workers.sandbox.isolation.levels import Host, Want, best_mode, level_of, satisfies
from workers.sandbox.isolation.process import Parts, SandboxProcess
from workers.sandbox.isolation.spec import (
    Egress,
    EgressPolicy,
    Exit,
    IsolationLevel,
    IsolationUnavailable,
    Mount,
    SandboxSpec,
    SpawnFailed,
)
from workers.sandbox.platform_relay import PlatformRelay

__all__ = [
    "Egress",
    "EgressPolicy",
    "Exit",
    "IsolationLevel",
    "IsolationUnavailable",
    "Mount",
    "SandboxProcess",
    "SandboxSpec",
    "SpawnFailed",
    "Supervisor",
]

_TRIAL_S = 10.0
_USUAL_TMP_MB = 512  # AWS's default

Log = logging.Logger | logging.LoggerAdapter[Any]


class Supervisor:
    """Spawns sandboxes at one level for the life of a worker. Make it with `create`, end it with `close`.

    level: what every sandbox gets. missing: sentences, which limits this level lacks here and why. no_egress: why
    functions reach the platform at most; empty when they have a way out. no_disk: why /tmp takes memory. host, mode
    and no_limit (controller -> why it can't be limited) are the facts behind them.
    """

    def __init__(
        self,
        host: Host,
        mode: command.Mode,
        tree: CgroupTree,
        *,
        platform: tuple[str, int] | None,
        egress: EgressPolicy | None,
        pool: int,
        log: Log,
        disks: Path | None,
    ) -> None:
        self.level = IsolationLevel.PROCESS
        self.missing: tuple[str, ...] = ()
        self.host = host
        self.mode = mode
        self.no_limit = tree.missing
        self.no_disk = "" if host.root and disks is not None else "only root can have loop devices"
        self.no_egress = "it was not asked for" if egress is None else host.no_egress
        self._tree = tree
        self._platform = platform
        self._log = log
        self._setup = {
            "bwrap": host.bwrap,
            "root": host.root,
            "namespaces": mode.namespaces,
            "user_namespace": mode.user_namespace,
            "own_uid": mode.own_uid,
            "seccomp": host.filter.hex() if mode.seccomp else "",
            "platform": platform is not None,
            "egress": self._egress_setup(egress) if mode.namespaces and not self.no_egress else None,
            "disks": str(disks) if host.root and disks is not None else None,
            "disk_mb": _USUAL_TMP_MB,
            "pool": pool,
            "freezer": str(tree.freezer) if tree.freezer is not None else None,
        }
        self._usr_links = command.usr_links()
        self._client: SpawnerClient | None = None
        self._starting = asyncio.Lock()
        self._live: dict[str, SandboxProcess] = {}
        #: spawns whose caller was cancelled, until their sandbox is stopped; close() waits for them
        self._abandoned: set[asyncio.Task[None]] = set()

    @classmethod
    async def create(
        cls,
        *,
        want: Want,
        platform: tuple[str, int] | None,
        pool: int,
        log: Log,
        egress: EgressPolicy | None = None,
        disks: Path | None = None,
    ) -> Supervisor:
        """Find the best level by trying: a level counts when a trial sandbox has run in it.

        want: a named level is had exactly (`reduced` accepts full) or refused. platform: host and port of the
        platform's listener for functions; None: functions reach nothing. egress: None: the platform at most. pool:
        network namespaces and disks kept ready. disks: folder for the sparse files that /tmp is in; None: in memory.
        Raises IsolationUnavailable.
        """
        host = await asyncio.to_thread(Host)
        tree = await asyncio.to_thread(CgroupTree.open, os.getpid())
        tried: list[Supervisor] = []

        async def attempt(mode: command.Mode) -> None:
            tried.append(cls(host, mode, tree, platform=platform, egress=egress, pool=pool, log=log, disks=disks))
            await tried[-1]._trial()

        try:
            mode, refusals = await best_mode(host, want, attempt)
            level, missing = level_of(host, mode, refusals, tree.missing)
            if not satisfies(level, want):
                raise IsolationUnavailable(want, missing)
        except BaseException:
            for supervisor in tried:
                await supervisor._end_spawner()
            await asyncio.to_thread(tree.close)
            raise
        for refused in tried[:-1]:
            await refused._end_spawner()
        supervisor = tried[-1]
        supervisor.level, supervisor.missing = level, missing
        if level is not IsolationLevel.FULL:
            fields = {"action": "isolation_level", "level": str(level), "missing": missing}
            log.warning("sandboxes are not fully isolated", extra=fields)
        if egress is not None and supervisor.no_egress and mode.namespaces:
            log.warning(
                "functions have no way out: they reach the platform only",
                extra={"action": "no_egress", "reason": supervisor.no_egress},
            )
        return supervisor

    async def spawn(self, spec: SandboxSpec) -> SandboxProcess:
        """Start a sandbox; returns when its namespaces stand and its command is about to run.

        Raises SpawnFailed: nothing is left of it. A caller that is cancelled leaves nothing behind either.
        """
        task = asyncio.create_task(self._spawn(spec))  # owned by this call, and by _abandoned after it
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            discarding = asyncio.create_task(_discard(task))
            self._abandoned.add(discarding)
            discarding.add_done_callback(self._abandoned.discard)
            raise

    async def discarded(self, sandbox_id: str) -> None:
        """Wait until nothing is left of a spawn under this id whose caller was cancelled."""
        if sandbox_id in self._live and self._abandoned:
            await asyncio.wait(self._abandoned)

    async def close(self) -> None:
        """Stop every sandbox, end the spawner, remove the cgroups. Idempotent."""
        await asyncio.gather(*self._abandoned)
        await asyncio.gather(*(process.stop() for process in list(self._live.values())))
        await self._end_spawner()
        await asyncio.to_thread(self._tree.close)

    # --- what a SandboxProcess asks of us -----------------------------------------------------------------------

    async def kill_outer(self, sandbox_id: str) -> None:
        """Kill a sandbox whose inner process is not known."""
        if self._client is not None:
            await self._client.kill(sandbox_id)

    def forget(self, sandbox_id: str) -> None:
        self._live.pop(sandbox_id, None)

    def stuck(self, sandbox_id: str) -> None:
        self._log.error("sandbox does not end", extra={"action": "sandbox_stuck", "sandbox_id": sandbox_id})

    async def open_socket(self, sandbox_id: str) -> socket.socket:
        """A stream socket of the sandbox's network namespace, not yet connected. Raises OSError."""
        if not self.mode.namespaces:
            stream = socket.socket()
        elif self._client is None:
            raise ConnectionError("the spawner has ended")
        else:
            stream = await self._client.open_socket(sandbox_id)
        stream.setblocking(False)
        return stream

    async def bring(self, sandbox_id: str, code: Path, layers: Path | None, *, on_top: bool) -> None:
        """Put a function's files into a sandbox that was spawned without code. Raises SpawnFailed."""
        if self._client is None:
            raise SpawnFailed("the spawner has ended")
        await self._client.furnish(sandbox_id, str(code), None if layers is None else str(layers), on_top=on_top)

    # --- spawning -------------------------------------------------------------------------------------------------

    async def _spawn(self, spec: SandboxSpec) -> SandboxProcess:
        await self.discarded(spec.sandbox_id)
        if spec.sandbox_id in self._live:
            raise SpawnFailed(f"sandbox {spec.sandbox_id} exists")
        try:
            cgroup = self._tree.make(spec.sandbox_id, spec.limits)
        except OSError as exc:
            raise SpawnFailed(f"cgroup of {spec.sandbox_id}: {exc}") from exc
        process = SandboxProcess(self, spec.sandbox_id, Parts(cgroup))
        self._live[spec.sandbox_id] = process
        try:
            await self._start(spec, process)
        except OSError as exc:  # a TimeoutError too
            await process.stop()
            raise SpawnFailed(str(exc) or "the sandbox did not start in time") from exc
        except BaseException:
            await process.stop()
            raise
        return process

    async def _start(self, spec: SandboxSpec, process: SandboxProcess) -> None:
        parts = process.parts
        request: dict[str, Any] = {
            "id": spec.sandbox_id,
            "tasks": [str(file) for file in parts.cgroup.tasks_files],
            "unified": str(parts.cgroup.unified) if parts.cgroup.unified else None,
            "open_files": spec.open_files,
        }
        request |= self._isolated(spec) if self.mode.namespaces else self._plain(spec, process)
        client = await self._running_client()
        process.outer_pid, (process.output_fd, info, *listeners) = await client.spawn(request, process.ended)
        sockets = [socket.socket(fileno=descriptor) for descriptor in listeners]
        try:
            if self.mode.namespaces:
                process.listener = sockets[0]
            if spec.egress is Egress.OFF:
                for listener in sockets[1:]:
                    listener.close()
            elif self._platform is not None and self.mode.namespaces:
                parts.relay = PlatformRelay(sockets[1], self._platform)
                await parts.relay.start()
            await process.meet_inner(info)
        finally:
            os.close(info)

    def environment(self, spec: SandboxSpec) -> dict[str, str]:
        """What the command of an isolated sandbox gets: the spec's, and what only spawning knows."""
        platform = self._platform is not None and spec.egress is not Egress.OFF
        return command.environment_inside(spec, platform=platform)

    def _isolated(self, spec: SandboxSpec) -> dict[str, Any]:
        environment = self.environment(spec)
        options = command.bubblewrap_options(spec, self.mode, usr_links=self._usr_links, environment=environment)
        return {
            "options": [_encoded(word) for word in options],
            "disk_mb": spec.ephemeral_mb if spec.ephemeral_mb >= SMALLEST_MB else None,
            "command": command.command_inside(spec, self.mode),
            "way_out": spec.egress is Egress.OPEN,
        }

    def _egress_setup(self, egress: EgressPolicy | None) -> dict[str, Any] | None:
        if egress is None:
            return None
        never, allowed = list(egress.never), list(egress.allowed)
        usual = egress.usual is Egress.OPEN
        return {"slirp": self.host.slirp, "nft": self.host.nft, "never": never, "allowed": allowed, "ahead": usual}

    def _plain(self, spec: SandboxSpec, process: SandboxProcess) -> dict[str, Any]:
        process.listener = socket.create_server(("127.0.0.1", 0))
        process.listener.setblocking(False)
        process.parts.temporary_dir = Path(tempfile.mkdtemp(prefix="hearth-sandbox-"))
        words, environment = command.plain_command(
            spec,
            runtime_api=f"127.0.0.1:{process.listener.getsockname()[1]}",
            endpoint_url="http://{}:{}".format(*self._platform) if self._platform else None,
            temporary_dir=process.parts.temporary_dir,
        )
        return {
            "command": words,
            "environment": environment,
            "directory": str(spec.code_dir),
            "temporary_dir": str(process.parts.temporary_dir),
        }

    async def _running_client(self) -> SpawnerClient:
        """A spawner that died (the kernel's OOM killer, an operator) is replaced by the next spawn."""
        async with self._starting:
            if self._client is None or not self._client.alive:
                await self._end_spawner()
                try:
                    self._client = await SpawnerClient.start(self._setup)
                except SpawnerRefused as exc:
                    raise SpawnFailed(str(exc)) from exc
                if self._setup["egress"] is not None:
                    self.no_egress = self._client.no_egress
                if self._setup["disks"] is not None:
                    self.no_disk = self._client.no_disk
            return self._client

    async def _end_spawner(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _trial(self) -> None:
        """Run `true` in a sandbox; raises SpawnFailed with what it said unless that succeeds."""
        with tempfile.TemporaryDirectory(prefix="hearth-trial-") as empty:
            os.chmod(empty, 0o755)
            name = f"trial-{time.monotonic_ns()}"
            process = await self.spawn(SandboxSpec(name, ("true",), {"PATH": "/usr/bin:/bin"}, Path(empty)))
            try:
                async with Deadline.after(_TRIAL_S).scope():
                    result = await process.exited
                if result.status != 0:
                    raise SpawnFailed(await process.said() or f"it ended with {result}")
            except TimeoutError as exc:
                raise SpawnFailed("it did not end") from exc
            finally:
                await process.stop()


def _encoded(word: str | command.Source | command.Memory) -> Any:
    match word:
        case command.Source():
            return {"source": str(word.path)}
        case command.Memory():
            return {"in_memory": word.words}
    return word


async def _discard(spawning: asyncio.Task[SandboxProcess]) -> None:
    await asyncio.wait([spawning])
    if spawning.exception() is None:
        await spawning.result().stop()
