"""One worker process as the fleet sees it: started, asked to drain, ended, and its CPU time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
import uuid
from pathlib import Path

from workers.autoscaler import WorkerLoad

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
#: not heard of for so long after its start: it isn't about to be
STARTING_S = 30.0


class WorkerProcess:
    """`python -m workers INDEX WORKER_ID FLEET_PID`. Its standard input is a pipe that only the fleet holds open.

    SIGTERM drains it for as long as its functions may run; once the pipe has ended, for `drain_seconds` at most.
    """

    def __init__(self, worker_id: str, process: asyncio.subprocess.Process, lifeline: int) -> None:
        self.id = worker_id
        self.pid = process.pid
        self.retiring = False
        self.started_s = time.monotonic()
        #: done when it has ended
        self.ended = asyncio.ensure_future(process.wait())
        self._process = process
        self._lifeline = lifeline
        self._cpu = (self.started_s, cpu_seconds(process.pid))

    @classmethod
    async def start(cls, index: int) -> WorkerProcess:
        """Its settings are the fleet's environment."""
        worker_id = f"{socket.gethostname()}-{index}-{uuid.uuid4().hex[:8]}"
        theirs, ours = os.pipe()
        try:
            arguments = ("-m", "workers", str(index), worker_id, str(os.getpid()))
            process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=theirs, close_fds=True)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return cls(worker_id, process, ours)

    @property
    def status(self) -> int | None:
        """Exit status, once it has ended."""
        return self._process.returncode

    def retire(self) -> None:
        """Ask it to drain. Once only: a second SIGTERM would cut it short."""
        if not self.retiring and not self.ended.done():
            self.retiring = True
            self._process.terminate()

    def hurry(self) -> None:
        """From now on `drain_seconds` are all it has to finish."""
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)

    def kill(self) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def reap(self) -> None:
        """Wait for its end, and let go of it."""
        await self.ended
        self.hurry()

    def load(self, figures: dict[str, str]) -> WorkerLoad:
        """What its heartbeat tells, and the CPU it took since the last call."""
        (then_s, spent_s), now_s = self._cpu, time.monotonic()
        total_s = cpu_seconds(self.pid)
        self._cpu = (now_s, total_s)
        numbers = {name: int(figures.get(name, 0)) for name in _FIGURES}
        return WorkerLoad(
            capacity=numbers["capacity"],
            sandboxes=numbers["sandboxes"] + numbers["starting"],
            busy=numbers["busy"],
            waiting=numbers["waiting"],
            wait_s=numbers["wait_ms"] / 1000,
            cores=max(0.0, total_s - spent_s) / max(now_s - then_s, _TICK_S),
        )


_FIGURES = ("capacity", "sandboxes", "starting", "busy", "waiting", "wait_ms")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, without its children; 0 when it has ended. proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # The second field, the command in brackets, may hold anything; after it: state, parent, ...
    fields = stat[stat.rindex(b")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S
