"""One running sandbox: its handles, its end, and what is given back then."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hearth.clock import Deadline
from workers.sandbox.isolation.cgroup import Cgroup, Limits
from workers.sandbox.isolation.spec import Exit, SpawnFailed
from workers.sandbox.platform_relay import PlatformRelay

_INFO_S = 5.0  # until bwrap has made its namespaces
#: some milliseconds; what waits for a disk that stalls can not be killed before that has answered
_STOP_S = 20.0


class Owner(Protocol):
    """What a sandbox asks of the supervisor that spawned it."""

    async def kill_outer(self, sandbox_id: str) -> None: ...

    def forget(self, sandbox_id: str) -> None: ...

    def stuck(self, sandbox_id: str) -> None: ...

    async def open_socket(self, sandbox_id: str) -> socket.socket: ...

    async def bring(self, sandbox_id: str, code: Path, layers: Path | None, *, on_top: bool) -> None: ...


@dataclass(slots=True)
class Parts:
    """What a sandbox holds besides its process; given back by stop()."""

    cgroup: Cgroup
    relay: PlatformRelay | None = None
    temporary_dir: Path | None = None


class SandboxProcess:
    """A running sandbox.

    pid: host pid of the inner pid 1 (level process: of the command). listener: the Runtime API's endpoint, listening
    and non-blocking. output_fd: non-blocking read end of a pipe with stdout and stderr. exited: resolves when the
    runtime command has ended. All belong to the sandbox and are closed by stop(): take your own readers and servers
    off them first.
    """

    def __init__(self, owner: Owner, sandbox_id: str, parts: Parts) -> None:
        self.sandbox_id = sandbox_id
        self.pid = 0
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.listener: socket.socket
        self.output_fd = -1
        self._owner = owner
        self.parts = parts
        self._inner_pidfd = -1
        self.outer_pid = 0
        self.frozen = False
        self._stopping: asyncio.Task[None] | None = None

    async def furnish(self, code: Path, layers: Path | None, limits: Limits, *, on_top: bool) -> None:
        """Make a sandbox that was spawned without code a function's: its files and its limits.

        on_top: its command enters its working directory anew; else that is exchanged under it, for which the kernel
        waits for all processors: a millisecond, and many on a busy host.
        Raises SpawnFailed; then it is of no use any more.
        """
        await self._owner.bring(self.sandbox_id, code, layers, on_top=on_top)
        try:
            self.parts.cgroup.limit(limits)
        except OSError as exc:
            raise SpawnFailed(f"limits of {self.sandbox_id}: {exc}") from exc

    def peak_memory_mb(self) -> int:
        """Most memory held so far, for REPORT; 0 if unknown."""
        return self.parts.cgroup.peak_memory_mb()

    def oom_kills(self) -> int:
        """Processes of it that the kernel has killed for its memory limit."""
        return self.parts.cgroup.oom_kills()

    def set_cpu(self, cores: float | None) -> None:
        """Change the CPU quota; None lifts it. No effect where CPU can't be limited (see Supervisor.missing)."""
        self.parts.cgroup.set_cpu(cores)

    def freeze(self) -> bool:
        """Stop every process of it until `thaw`. False: the host does not let us."""
        if not self.parts.cgroup.can_freeze:
            return False
        try:
            self.parts.cgroup.freeze()
        except OSError:
            return False
        self.frozen = True
        return True

    def thaw(self) -> None:
        self.frozen = False
        self.parts.cgroup.thaw()

    def signal_command(self, number: int) -> None:
        """To the command itself, not to what it has started. No effect once it has ended."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(_command_pid(self.pid), number)

    async def connect(self, port: int) -> socket.socket:
        """A stream connected to a port of the sandbox's own loopback; non-blocking. Raises OSError."""
        stream = await self._owner.open_socket(self.sandbox_id)
        try:
            await asyncio.get_running_loop().sock_connect(stream, ("127.0.0.1", port))
        except BaseException:
            stream.close()
            raise
        return stream

    async def stop(self) -> None:
        """Kill the whole tree, reap it, give everything back. Idempotent; goes on if its caller is cancelled."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())  # owned here, awaited by every caller
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        try:
            async with Deadline.after(_STOP_S).scope():
                await self._kill()
                await _remove(self.parts.cgroup)
        except TimeoutError:
            self._owner.stuck(self.sandbox_id)
        finally:
            await self._release()

    async def _kill(self) -> None:
        if self._inner_pidfd >= 0:
            # The inner pid 1: with it the kernel kills everything in its pid namespace.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._inner_pidfd, signal.SIGKILL)
        elif self.outer_pid:
            await self._owner.kill_outer(self.sandbox_id)
        if self.frozen:
            self.thaw()  # after the kill: nothing of it runs again, but v1 lets it die only now
        if self.outer_pid:
            await asyncio.shield(self.exited)
        if self._inner_pidfd >= 0:
            await _readable(self._inner_pidfd)  # `exited` may come before the last of the tree has ended

    async def _release(self) -> None:
        self._owner.forget(self.sandbox_id)
        if self.parts.relay is not None:
            await self.parts.relay.close()
        if hasattr(self, "listener"):
            self.listener.close()
        for descriptor in (self.output_fd, self._inner_pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self.output_fd = self._inner_pidfd = -1
        if self.parts.temporary_dir is not None:
            await asyncio.to_thread(shutil.rmtree, self.parts.temporary_dir, ignore_errors=True)

    async def said(self) -> str:
        """What a sandbox that ended at once has printed: bwrap's own words, when it could not be built."""
        await self.exited
        with contextlib.suppress(BlockingIOError):
            return os.read(self.output_fd, 4096).decode(errors="replace").strip()
        return ""

    async def meet_inner(self, info: int) -> None:
        """Learn the inner process from bwrap's --info-fd. Raises SpawnFailed when there is none."""
        self.pid = await _inner_pid(info)
        if not self.pid:
            raise SpawnFailed(f"the sandbox could not be built: {await self.said()}")
        self._inner_pidfd = _pidfd_of_child(self.pid, self.outer_pid)

    def ended(self, code: int) -> None:
        """The outer process was reaped with this code."""
        if not self.exited.done():
            self.exited.set_result(Exit.of(code, oom_killed=self.parts.cgroup.oom_kills() > 0))


async def _remove(cgroup: Cgroup) -> None:
    """rmdir answers EBUSY for a moment after the last process has ended."""
    delay_s = 0.001
    while not cgroup.remove():
        cgroup.kill()
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, 0.05)


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


def _command_pid(pid: int) -> int:
    """Of the command below the inner pid 1; at level `process` that is the command itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    inside = Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].partition("\n")[0].split()
    return int(children[0]) if len(inside) > 1 and inside[-1] == "1" else pid


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
