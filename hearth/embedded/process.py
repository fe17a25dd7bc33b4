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
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

#: called with (name of the process, one line it printed)
OnLine = Callable[[str, str], None]

_PR_SET_PDEATHSIG = 1
#: longest piece of output handed on as one line, bytes
_MAX_LINE = 256 * 1024
_TAIL_LINES = 20

_libc = ctypes.CDLL(None, use_errno=True)


class StartFailed(Exception):
    """Something of ours could not be started. The text says what, why, and what to do about it."""


class Unit(Protocol):
    """What the stack starts, watches, restarts and stops: a server or a service."""

    name: str

    async def start(self) -> None:
        """Return when it is ready. Raises StartFailed, with nothing left running."""

    async def wait(self) -> int:
        """Return its exit status as soon as it has ended by itself."""

    async def stop(self, grace_s: float) -> None:
        """End it in order within grace_s seconds, then by force. Nothing of it remains afterwards."""

    def kill(self) -> None:
        """End it at once by force."""

    @property
    def pid(self) -> int | None:
        """None while it does not run."""


def end_with(parent: int, with_signal: signal.Signals) -> Callable[[], None]:
    """What a child runs between fork and exec so that it gets `with_signal` when `parent` dies."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died in between: the signal will never come
            os._exit(1)

    return prepare


class Process:
    """A child process with its output read line by line."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: OnLine) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = process
        self._on_line = on_line
        self._gone = False
        self._reader = asyncio.create_task(self._read(), name=f"output of {name}")  # owner: wait() and stop()

    @classmethod
    async def start(
        cls, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, on_line: OnLine
    ) -> Process:
        """Raises StartFailed if the program can't be executed."""
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(env),
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with(os.getpid(), signal.SIGTERM),
            )
        except OSError as exc:
            raise StartFailed(f"{name}: cannot run {argv[0]}: {exc.strerror}") from exc
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit status; negative: minus the signal's number."""
        status = await self._process.wait()
        # A grandchild may keep the pipe open; what it prints later is nobody's.
        await asyncio.wait({self._reader}, timeout=1.0)
        self._reader.cancel()
        return status

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
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            self.kill()
        await self.wait()
        self._gone = True

    def kill(self) -> None:
        """SIGKILL to whatever is left of its process group."""
        if self._gone:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        rest = b""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _MAX_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._emit(line)
        if rest:
            self._emit(rest)

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
