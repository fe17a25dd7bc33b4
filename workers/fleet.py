"""The fleet: one supervisor per host that keeps a number of worker processes alive and drains them at the end.

A worker that dies is started again after a growing pause; what it ran is the broker's business. SIGTERM drains every
worker at once; a worker that has not ended some seconds after its drain time is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time

from hearth import service
from hearth.log import configure
from hearth.settings import Settings
from workers import runtimes

log = logging.getLogger(__name__)

#: a worker that lived this long starts again at once
STABLE_S = 10.0
LONGEST_PAUSE_S = 10.0
#: beyond drain_seconds, for the Shutdown phases of its sandboxes
KILL_GRACE_S = 10.0


def pause_before_restart_s(lived_s: float, failures: int) -> float:
    """Pure: how long to wait before a dead worker is replaced."""
    return 0.0 if lived_s >= STABLE_S else min(LONGEST_PAUSE_S, 0.25 * 2**failures)


class Fleet:
    """`count` worker processes, each `python -m workers INDEX`."""

    def __init__(self, settings: Settings, count: int) -> None:
        self._settings = settings
        self._count = count

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for index in range(self._count):
                tasks.create_task(self._keep(index, stop), name=f"worker-{index}")

    async def _keep(self, index: int, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "workers", str(index), str(os.getpid()), env=dict(os.environ), close_fds=True
            )
            try:
                await self._until_end(process, stop)
            except BaseException:  # cancelled: no worker outlives its fleet
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
                raise
            if stop.is_set():
                return
            lived_s = time.monotonic() - started
            failures = 0 if lived_s >= STABLE_S else failures + 1
            log.error(
                "worker ended by itself",
                extra={"action": "worker_ended", "index": index, "pid": process.pid, "status": process.returncode},
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_before_restart_s(lived_s, failures))

    async def _until_end(self, process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
        """Return when the process has ended; once `stop` is set, see to it that it does."""
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return
            process.terminate()
            await asyncio.wait({ended}, timeout=self._settings.drain_seconds + KILL_GRACE_S)
            if not ended.done():
                log.error("worker killed", extra={"action": "worker_killed", "pid": process.pid})
                process.kill()
                await ended
        finally:
            stopping.cancel()
            if not ended.done():
                ended.cancel()


def main(settings: Settings) -> None:
    """Run the fleet until SIGTERM or SIGINT. Installs missing runtime clients first."""
    configure(settings)

    async def run(stop: asyncio.Event) -> None:
        await runtimes.prepare(settings, lambda text: log.info(text, extra={"action": "runtimes"}))
        await Fleet(settings, settings.workers).run(stop)

    service.run(run)
