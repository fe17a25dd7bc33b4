"""Pure: how many worker processes a host should have now. Decided on plain values, carried out by the fleet.

Up: requests wait for room longer than a threshold and no worker of this host has any, or a worker process keeps a
whole core busy while requests wait. Down: for a while, what runs would have fitted into half the room of one worker
fewer. The two conditions lie far apart and each change starts the clocks anew, so the number never swings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hearth.settings import Settings

#: a process that takes this much of a core has no more to give
BOUND_CORES = 0.9
#: and must do so for this long: an Init or a large payload is no lasting load
BOUND_AFTER_S = 3.0
#: what runs must fit into this part of the remaining workers before one goes
SPARE_PART = 0.5


@dataclass(frozen=True, slots=True)
class Bounds:
    """minimum and maximum: worker processes of this host. up_wait_s, down_after_s: HEARTH_SCALE_UP_WAIT_SECONDS,
    HEARTH_SCALE_DOWN_SECONDS."""

    minimum: int
    maximum: int
    up_wait_s: float
    down_after_s: float

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        maximum = settings.max_workers or os.cpu_count() or 1
        if settings.max_sandboxes is not None:  # no worker without room for a sandbox
            maximum = min(maximum, settings.max_sandboxes)
        return cls(
            settings.workers,
            max(settings.workers, maximum),
            settings.scale_up_wait_seconds,
            settings.scale_down_seconds,
        )


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """One worker as its last heartbeat told, and as the kernel does. capacity, sandboxes (starting ones included),
    busy, waiting: counts. wait_s: longest wait for room since the heartbeat before. cores: CPU of the process
    itself, without its sandboxes."""

    capacity: int
    sandboxes: int
    busy: int
    waiting: int
    wait_s: float
    cores: float


@dataclass(frozen=True, slots=True)
class Observation:
    """now_s: monotonic. count: worker processes, without those that drain. starting: those among them that were not
    heard of yet. workers: the others."""

    now_s: float
    count: int
    starting: int
    workers: tuple[WorkerLoad, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """Since when something has held without a break, monotonic; None: it does not hold."""

    count: int = 0
    bound_since_s: float | None = None
    spare_since_s: float | None = None


def follow(trend: Trend, seen: Observation) -> Trend:
    """The trend after one more observation; a change of the number of workers starts it anew."""
    if seen.count != trend.count or seen.starting:
        return Trend(seen.count)
    return replace(
        trend,
        bound_since_s=_since(trend.bound_since_s, seen.now_s, _is_bound(seen)),
        spare_since_s=_since(trend.spare_since_s, seen.now_s, _has_spare(seen)),
    )


def desired_workers(seen: Observation, trend: Trend, bounds: Bounds) -> int:
    """One step at a time: a worker that starts must be heard of before the next decision."""
    if seen.starting:
        return min(max(seen.count, bounds.minimum), bounds.maximum)
    wanted = seen.count
    if _is_full(seen, bounds.up_wait_s) or _held(trend.bound_since_s, seen.now_s, BOUND_AFTER_S):
        wanted += 1
    elif _held(trend.spare_since_s, seen.now_s, bounds.down_after_s):
        wanted -= 1
    return min(max(wanted, bounds.minimum), bounds.maximum)


def least_used(loads: Mapping[str, WorkerLoad]) -> str:
    """Which worker is drained: the one with the least to finish, then with the fewest warm sandboxes."""
    return min(loads, key=lambda worker: (loads[worker].busy, loads[worker].sandboxes, worker))


def share_of(room: int, workers: int, index: int) -> int:
    """A worker's part of the host's `room` for sandboxes, so that the parts of all `workers` make up the whole."""
    return max(1, room // workers + (index < room % workers))


def _is_full(seen: Observation, up_wait_s: float) -> bool:
    longest = max((one.wait_s for one in seen.workers), default=0.0)
    return longest >= up_wait_s and all(one.sandboxes >= one.capacity for one in seen.workers)


def _is_bound(seen: Observation) -> bool:
    waits = any(one.waiting or one.wait_s for one in seen.workers)
    return waits and any(one.cores >= BOUND_CORES for one in seen.workers)


def _has_spare(seen: Observation) -> bool:
    fewer = seen.count - 1
    if fewer < 1 or len(seen.workers) < seen.count or any(one.waiting or one.wait_s for one in seen.workers):
        return False
    room = fewer * min(one.capacity for one in seen.workers)
    runs, cores = sum(one.busy for one in seen.workers), sum(one.cores for one in seen.workers)
    return runs <= SPARE_PART * room and cores <= SPARE_PART * fewer


def _since(before: float | None, now_s: float, holds: bool) -> float | None:
    if not holds:
        return None
    return now_s if before is None else before


def _held(since_s: float | None, now_s: float, for_s: float) -> bool:
    return since_s is not None and now_s - since_s >= for_s
