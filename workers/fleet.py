"""The fleet: one supervisor per host that keeps as many worker processes alive as the host's load asks for.

A worker that dies is started again after a growing pause; what it ran is the broker's business. A worker that is
no longer needed drains: it finishes everything it runs, however long that takes. Only the end of the whole fleet
(SIGTERM) gives the workers `drain_seconds`, and kills one that has not ended some seconds later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from hearth import service
from hearth.errors import Unavailable
from hearth.log import configure
from hearth.settings import Settings
from hearth.store import Store, Stores
from hearth.store import workers as register
from hearth.store.slots import HEARTBEAT_S
from workers import runtimes
from workers.autoscaler import Bounds, Observation, Trend, WorkerLoad, desired_workers, follow, least_used
from workers.log_shipping import shipping
from workers.worker_process import STARTING_S, WorkerProcess

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
    """Between `HEARTH_WORKERS` and `HEARTH_MAX_WORKERS` worker processes, each with an index of its own."""

    def __init__(self, settings: Settings, coordination: Store) -> None:
        self._bounds = Bounds.of(settings)
        self._drain_s = settings.drain_seconds
        self._coordination = coordination
        #: index -> its process; None between a death and the restart. One that drains is in here no more: it holds
        #: nothing but what it still runs
        self._workers: dict[int, WorkerProcess | None] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set and every worker has ended."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for _ in range(self._bounds.minimum):
                self._add(stop)
            scaling = tasks.create_task(self._scale(stop), name="autoscaler")
            await stop.wait()  # no deadline: the life of the fleet
            scaling.cancel()

    # --- one worker -------------------------------------------------------------------------------------------
    def _add(self, stop: asyncio.Event) -> None:
        taken = self._workers.keys()
        index = next(index for index in range(len(taken) + 1) if index not in taken)
        self._workers[index] = None
        self._tasks.create_task(self._keep(index, stop), name=f"worker-{index}")

    async def _keep(self, index: int, stop: asyncio.Event) -> None:
        """Keep a worker of this index alive until it retires or the fleet stops."""
        failures = 0
        while not stop.is_set():
            worker = await WorkerProcess.start(index)
            self._workers[index] = worker
            try:
                await self._until_end(worker, stop)
            except BaseException:  # cancelled: no worker outlives its fleet
                worker.kill()
                await asyncio.shield(worker.reap())
                raise
            if worker.retiring:  # it has left the table when it began to
                return
            self._workers[index] = None
            lived_s = time.monotonic() - worker.started_s
            failures = 0 if lived_s >= STABLE_S else failures + 1
            log.error(
                "worker ended by itself",
                extra={"action": "worker_ended", "index": index, "pid": worker.pid, "status": worker.status},
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_before_restart_s(lived_s, failures))

    async def _until_end(self, worker: WorkerProcess, stop: asyncio.Event) -> None:
        """Return when the process has ended; once `stop` is set, see to it that it does."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({worker.ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not worker.ended.done():
            worker.hurry()
            worker.retire()
            await asyncio.wait({worker.ended}, timeout=self._drain_s + KILL_GRACE_S)
        if not worker.ended.done():
            log.error("worker killed", extra={"action": "worker_killed", "pid": worker.pid})
            worker.kill()
        await worker.reap()
        if worker.retiring:
            log.info(
                "worker drained",
                extra={"action": "worker_drained", "worker": worker.id, "pid": worker.pid, "status": worker.status},
            )

    def _retire(self, worker_id: str) -> None:
        for index, worker in self._workers.items():
            if worker is not None and worker.id == worker_id:
                del self._workers[index]
                worker.retire()
                return

    # --- their number -----------------------------------------------------------------------------------------
    async def _scale(self, stop: asyncio.Event) -> None:
        trend = Trend()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                loads = self._loads(await register.living(self._coordination))
            except Unavailable as exc:  # nothing is known of the load: leave the number as it is
                log.warning("load unknown", extra={"action": "load_unknown", "reason": str(exc)})
                continue
            seen = self._observation(loads)
            trend = follow(trend, seen)
            wanted = desired_workers(seen, trend, self._bounds)
            if wanted > seen.count:
                log.info("worker added", extra={"action": "scaled_up", "from": seen.count, "to": wanted})
                self._add(stop)
            elif wanted < seen.count and loads:
                leaving = least_used(loads)
                fields = {"action": "scaled_down", "from": seen.count, "to": wanted, "worker": leaving}
                log.info("worker drains", extra=fields)
                self._retire(leaving)

    def _loads(self, living: dict[str, dict[str, str]]) -> dict[str, WorkerLoad]:
        """Worker id -> load, of those of this fleet that are heard of and take requests."""
        return {
            worker.id: worker.load(living[worker.id])
            for worker in self._workers.values()
            if worker is not None and worker.id in living
        }

    def _observation(self, loads: dict[str, WorkerLoad]) -> Observation:
        now_s = time.monotonic()
        unheard = [worker for worker in self._workers.values() if worker is None or worker.id not in loads]
        starting = sum(1 for worker in unheard if worker is None or now_s - worker.started_s < STARTING_S)
        return Observation(now_s, len(self._workers), starting, tuple(loads.values()))


def main(settings: Settings) -> None:
    """Run the fleet until SIGTERM or SIGINT. Installs missing runtime clients first."""
    configure(settings)

    async def run(stop: asyncio.Event) -> None:
        await runtimes.prepare(settings, lambda text: log.info(text, extra={"action": "runtimes"}))
        stores = Stores.connect(settings)
        try:
            async with shipping(settings, stores):
                await Fleet(settings, stores.coordination).run(stop)
        finally:
            await stores.close()

    service.run(run)
