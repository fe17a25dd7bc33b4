"""Prometheus figures: of this gateway's requests (all gunicorn workers together) and what all gateways tell alike.

Requests are counted in plain numbers and handed on to prometheus-client once a second: it spends as much on one
request as the check of its signature. With several processes prometheus-client keeps the figures in files of
PROMETHEUS_MULTIPROC_DIR, which `gateway.serve` sets before this module is imported.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

from gateway.backends import Backends
from gateway.platform_metrics import collect_from

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
        registry.register(await collect_from(backends))
    return generate_latest(registry)
