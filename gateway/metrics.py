"""Prometheus figures: of this gateway's requests (all gunicorn workers together) and of the workers' heartbeats.

With several processes prometheus-client keeps the figures in files of PROMETHEUS_MULTIPROC_DIR, which
`gateway.serve` sets before this module is imported.
"""

from __future__ import annotations

import functools
import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.backends import living_workers
from hearth.store import Store

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)

_requests = Counter("hearth_requests_total", "API requests", ["service", "operation", "status"])
_latency = Histogram(
    "hearth_request_seconds", "From the request's last byte to the answer", ["service", "operation"], buckets=_BUCKETS_S
)

#: sums over the workers: name of the figure -> whether it only grows
_WORKER_FIGURES = ("sandboxes", "busy", "waiting", "cold_starts", "invocations", "errors")


def observe(service: str, operation: str, status: int, seconds: float) -> None:
    _counter(service, operation, status).inc()
    _histogram(service, operation).observe(seconds)


@functools.cache
def _counter(service: str, operation: str, status: int) -> Counter:
    return _requests.labels(service, operation, str(status))


@functools.cache
def _histogram(service: str, operation: str) -> Histogram:
    return _latency.labels(service, operation)


async def exposition(coordination: Store | None) -> bytes:
    """The text format. Workers' figures are left out while `coordination` is away."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)
    else:
        registry.register(_requests)
        registry.register(_latency)
    if coordination is not None:
        registry.register(_Workers(await _figures(coordination)))
    return generate_latest(registry)


async def _figures(coordination: Store) -> dict[str, dict[str, float]]:
    return {
        worker: {name: float(value) for name, value in figures.items() if name in _WORKER_FIGURES}
        for worker, figures in (await living_workers(coordination)).items()
    }


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
