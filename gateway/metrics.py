"""Prometheus figures: of this gateway's requests (all gunicorn workers together) and of the workers' heartbeats.

Requests are counted in plain numbers and handed on to prometheus-client once a second: it spends as much on one
request as the check of its signature. With several processes prometheus-client keeps the figures in files of
PROMETHEUS_MULTIPROC_DIR, which `gateway.serve` sets before this module is imported.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.backends import Backends, living_workers
from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.event_backlog import EventBacklog, event_backlog
from hearth.model.mapping import Progress
from hearth.store import Store
from hearth.store.events import dropped_counts

_ASK_S = 2.0
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)

_FLUSH_S = 1.0


class _Latency(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: list[int], seconds: float) -> None:
        """counts: observations per bucket, the last one for what is beyond all bounds. seconds: their sum."""
        self._sum.inc(seconds)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class _Seen:
    """Requests that prometheus-client does not know yet."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS_S) + 1)
        self.seconds = 0.0


_requests = Counter("hearth_requests_total", "API requests", ["service", "operation", "status"])
_latency = _Latency(
    "hearth_request_seconds", "From the request's last byte to the answer", ["service", "operation"], buckets=_BUCKETS_S
)

#: sums over the workers: name of the figure -> whether it only grows
_WORKER_FIGURES = ("sandboxes", "busy", "waiting", "cold_starts", "invocations", "errors")


#: service, operation, status -> since the last flush
_seen: dict[tuple[str, str, int], _Seen] = {}
_accepted = Counter("hearth_events_accepted_total", "Asynchronous invocations answered with 202")


def event_accepted() -> None:
    _accepted.inc()


def observe(service: str, operation: str, status: int, seconds: float) -> None:
    """Call it inside the event loop."""
    key = (service, operation, status)
    seen = _seen.get(key)
    if seen is None:
        if not _seen:
            asyncio.get_running_loop().call_later(_FLUSH_S, flush)
        seen = _seen[key] = _Seen()
    seen.counts[bisect_left(_BUCKETS_S, seconds)] += 1
    seen.seconds += seconds


def flush() -> None:
    """Hand on what was counted; also before the process ends."""
    for (service, operation, status), seen in _seen.items():
        _requests.labels(service, operation, str(status)).inc(sum(seen.counts))
        _latency.labels(service, operation).add(seen.counts, seen.seconds)
    _seen.clear()


async def exposition(backends: Backends | None) -> bytes:
    """The text format. Figures of a server that is away are left out; other processes' may be a second old."""
    flush()
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)
    else:
        registry.register(_requests)
        registry.register(_latency)
        registry.register(_accepted)
    if backends is not None:
        registry.register(_Workers(await _figures(backends.stores.coordination)))
        if (waiting := await _events(backends)) is not None:
            registry.register(waiting)
        if (mappings := await _mappings(backends)) is not None:
            registry.register(mappings)
    return generate_latest(registry)


async def _figures(coordination: Store) -> dict[str, dict[str, float]]:
    return {
        worker: {name: float(value) for name, value in figures.items() if name in _WORKER_FIGURES}
        for worker, figures in (await living_workers(coordination)).items()
    }


async def _events(backends: Backends) -> _Events | None:
    try:
        async with asyncio.timeout(_ASK_S):
            state = backends.stores.state
            backlog = await event_backlog(backends.broker, state)
            return _Events(backlog, await dropped_counts(state))
    except (HearthError, TimeoutError):
        return None


async def _mappings(backends: Backends) -> _Mappings | None:
    try:
        async with asyncio.timeout(_ASK_S):
            table, found = backends.mappings, {}
            for mapping in await table.all():
                for unit, progress in (await table.progress(mapping)).items():
                    found[mapping.uuid, mapping.function_arn, unit] = progress
            return _Mappings(found)
    except (HearthError, TimeoutError):
        return None


class _Mappings(Collector):
    """How far event source mappings are, as their pollers tell about once a second."""

    def __init__(self, progress: dict[tuple[str, str, str], Progress]) -> None:
        self._progress = progress

    def collect(self) -> list[Metric]:
        labels = ["mapping", "function", "unit"]
        age = GaugeMetricFamily(
            "hearth_mapping_iterator_age_seconds", "Age of the oldest record that is not done; 0: none", labels=labels
        )
        failing = GaugeMetricFamily("hearth_mapping_failing", "1: its last batch failed", labels=labels)
        for where, one in self._progress.items():
            age.add_metric(where, max(0.0, (now_ms() - one.oldest_at_ms) / 1000) if one.oldest_at_ms else 0.0)
            failing.add_metric(where, float(bool(one.error)))
        return [age, failing]


class _Events(Collector):
    def __init__(self, backlog: EventBacklog, dropped: dict[tuple[str, str], int]) -> None:
        self._backlog = backlog
        self._dropped = dropped

    def collect(self) -> list[Metric]:
        waiting = GaugeMetricFamily("hearth_events_waiting", "Events in the broker's queues", labels=["where"])
        for where, counts in (("queued", self._backlog.queued), ("delayed", self._backlog.delayed)):
            waiting.add_metric([where], sum(counts.values()))
        waiting.add_metric(["aside"], sum(self._backlog.aside.values()))
        dropped = CounterMetricFamily("hearth_events_dropped", "Events given up", labels=["function", "reason"])
        for (function, reason), count in self._dropped.items():
            dropped.add_metric([function, reason], count)
        return [waiting, dropped]


class _Workers(Collector):
    def __init__(self, figures: dict[str, dict[str, float]]) -> None:
        self._figures = figures

    def collect(self) -> list[GaugeMetricFamily]:
        alive = GaugeMetricFamily("hearth_workers", "Workers with a fresh heartbeat", value=len(self._figures))
        families = [alive]
        for name in _WORKER_FIGURES:
            family = GaugeMetricFamily(f"hearth_worker_{name}", f"Of each worker: {name}", labels=["worker"])
            for worker, figures in self._figures.items():
                if name in figures:
                    family.add_metric([worker], figures[name])
            families.append(family)
        return families
