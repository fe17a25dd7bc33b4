"""A worker's heartbeat: it renews the slots of its sandboxes, reports its figures, and learns of the fleet."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping, Sequence

from hearth.errors import Unavailable
from hearth.store import Store, slots
from hearth.store import workers as register
from workers.placements import Placements
from workers.pool import Pool
from workers.waiting import WaitingWatch

log = logging.getLogger(__name__)


class Heartbeat:
    """`run` is its life, after one `beat`. offer: figures of the runtimes. families: what is installed here."""

    def __init__(
        self,
        coordination: Store,
        pool: Pool,
        placements: Placements,
        waiting: WaitingWatch,
        *,
        worker_id: str,
        isolation: str,
        offer: Mapping[str, str],
        families: Sequence[str],
        idle_s: float,
    ) -> None:
        self._coordination = coordination
        self._pool = pool
        self._placements = placements
        self._waiting = waiting
        self._worker_id = worker_id
        self._idle_s = idle_s
        self._families = families
        self._fleet = register.Fleet(1, frozenset(families))
        self._constant: dict[str, int | str] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "isolation": isolation,
            **offer,
            "capacity": pool.capacity,
        }

    async def run(self) -> None:
        while True:
            await asyncio.sleep(slots.HEARTBEAT_S)
            await self.beat()
            self._pool.reap(self._idle_s)

    async def beat(self) -> None:
        pool, counters = self._pool, self._pool.counters
        figures = self._constant | {
            "sandboxes": sum(1 for _ in pool.members()),
            "busy": pool.busy,
            "starting": sum(one.starting for one in pool.versions.values()),
            "waiting": pool.waiting,
            "wait_ms": int(self._waiting.longest_wait_s * 1000),
            "draining": int(pool.draining),
            "cold_starts": counters.cold_starts,
            "invocations": counters.invocations,
            "errors": counters.errors,
        }
        self._waiting.longest_wait_s = 0.0
        try:
            self._fleet = await register.heartbeat(
                self._coordination, self._worker_id, pool.held(), figures, self._families
            )
        except Unavailable as exc:
            log.warning("heartbeat failed", extra={"action": "heartbeat_failed", "reason": str(exc)})
        self._waiting.workers = self._fleet.workers
        await self._placements.yield_to_exact(self._fleet.families)
