"""Processes that belong to this one: each in a session of its own, and none outlives us.

A session of its own keeps the terminal's Ctrl-C away from them, so that we stop them in order. The kernel's
parent-death signal ends them if we are killed with -9. It is tied to the *thread* that started the process:
start them from the main thread (that of the event loop), never from a pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

#: called with (name of the process, one line it printed)
OnLine = Callable[[str, str], None]

_PR_SET_PDEATHSIG = 1
#: longest piece of output handed on as one line, bytes
_MAX_LINE = 256 * 1024
_TAIL_LINES = 20

_libc = ctypes.CDLL(None, use_errno=True)


class StartFailed(Exception):
    """Something of ours could not be started. The text says what, why, and what to do about it."""


def end_with(parent: int, with_signal: signal.Signals) -> Callable[[], None]:
    """What a child runs between fork and exec so that it gets `with_signal` when `parent` dies."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died in between: the signal will never come
            os._exit(1)

    return prepare


class Process:
    """A child process with its output read line by line.

    Watched through a pidfd rather than by asyncio's own classes, whose wait() on Python 3.11 goes on for as long as
    a grandchild keeps the output open: then a killed gateway, whose workers live on, would seem to run.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes], on_line: OnLine) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._popen = popen
        self._on_line = on_line
        self._gone = False
        self._rest = b""
        assert popen.stdout is not None
        self._output = popen.stdout.fileno()
        os.set_blocking(self._output, False)
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._loop.add_reader(self._output, self._on_output)

    @classmethod
    async def start(
        cls, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, on_line: OnLine
    ) -> Process:
        """Raises StartFailed if the program can't be executed."""
        try:
            popen = subprocess.Popen(  # noqa: ASYNC220 - takes a millisecond, and must be this thread
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with(os.getpid(), signal.SIGTERM),
            )
        except OSError as exc:
            raise StartFailed(f"{name}: cannot run {argv[0]}: {exc.strerror}") from exc
        return cls(name, popen, on_line)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return not self._exited.done()

    async def wait(self) -> int:
        """Its exit status; negative: minus the signal's number."""
        return await asyncio.shield(self._exited)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL to its whole group. Finishes even if the caller is cancelled."""
        stopping = asyncio.ensure_future(self._stop(grace_s))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await stopping
            raise

    async def _stop(self, grace_s: float) -> None:
        if self._gone:  # its pid may be somebody else's by now
            return
        if self.running:
            self._popen.terminate()
        await asyncio.wait({self._exited}, timeout=grace_s)
        self.kill()  # also what it left in its group
        await self.wait()
        self._gone = True
        self._close_output()

    def kill(self) -> None:
        """SIGKILL to whatever is left of its process group."""
        if not self._gone:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = self._popen.wait()
        self._on_output()
        self._exited.set_result(status)

    def _on_output(self) -> None:
        """Everything that is there now."""
        while self._output >= 0:
            try:
                chunk = os.read(self._output, 65536)
            except BlockingIOError:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > _MAX_LINE or not chunk:
                lines.append(self._rest)
                self._rest = b""
            for line in lines:
                self._emit(line)
            if not chunk:
                self._close_output()

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            self._output = -1
            assert self._popen.stdout is not None
            self._popen.stdout.close()

    def _emit(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self.tail.append(text)
            self._on_line(self.name, text)


async def until_ready(
    process: Process, check: Callable[[], Awaitable[bool]], *, deadline_s: float, log: Path | None = None
) -> None:
    """Ask `check` until it says yes; if the process ends or time runs out, stop it and raise StartFailed."""
    problem = f"not ready after {deadline_s:.0f} s"
    try:
        async with asyncio.timeout(deadline_s):
            while process.running:
                if await check():
                    return
                await asyncio.sleep(0.05)  # a server that boots has no event to wait for
            problem = f"ended with status {await process.wait()} while starting"
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        await process.stop(5.0)
        raise
    await process.stop(5.0)
    raise StartFailed(f"{process.name} {problem}.\n{last_lines(process, log)}")


def last_lines(process: Process, log: Path | None = None) -> str:
    """The end of what it printed, or of its log file if it printed nothing; indented, for a message."""
    lines = list(process.tail)
    if not lines and log is not None and log.exists():
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    where = f" ({log})" if log is not None else ""
    if not lines:
        return f"It left no message{where}."
    return f"Its last lines{where}:\n" + "\n".join(f"  {line}" for line in lines)
