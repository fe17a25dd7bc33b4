"""Prometheus figures that every gateway tells alike: of workers, queues, workflows and mappings, asked at each scrape.

What a server that is away would tell is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.backends import Backends, living_workers
from hearth.broker import events as queues
from hearth.broker.topology import placement_queue
from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.event_backlog import event_backlog
from hearth.store import workers
from hearth.store.backlogs import workflow_backlog
from hearth.store.events import dropped_counts

_ASK_S = 2.0
#: of workers' heartbeats
_WORKER_FIGURES = ("sandboxes", "busy", "waiting", "cold_starts", "invocations", "errors")


class PlatformFigures(Collector):
    """What `collect_from` found."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> list[Metric]:
        return self._metrics


async def collect_from(backends: Backends) -> PlatformFigures:
    """Ask all servers at once, each for at most two seconds."""
    found = await asyncio.gather(*(_asked(ask, backends) for ask in _ASKED))
    return PlatformFigures(metric for metrics in found for metric in metrics)


async def _asked(ask: Callable[[Backends], Awaitable[list[Metric]]], backends: Backends) -> list[Metric]:
    try:
        async with asyncio.timeout(_ASK_S):
            return await ask(backends)
    except (HearthError, TimeoutError):
        return []


async def _workers(backends: Backends) -> list[Metric]:
    living = await living_workers(backends.stores.coordination)
    metrics: list[Metric] = [
        GaugeMetricFamily("hearth_workers", "Workers with a fresh heartbeat", value=len(living)),
    ]
    for name in _WORKER_FIGURES:
        family = GaugeMetricFamily(f"hearth_worker_{name}", f"Of each worker: {name}", labels=["worker"])
        for worker, figures in living.items():
            if name in figures:
                family.add_metric([worker], float(figures[name]))
        metrics.append(family)
    return metrics


async def _placements(backends: Backends) -> list[Metric]:
    """Requests that no worker has taken: those that workers hold are `hearth_worker_waiting`."""
    names = {placement_queue(family): family for family in await workers.families(backends.stores.coordination)}
    lengths = await queues.depths(backends.broker, names)
    waiting = GaugeMetricFamily(
        "hearth_placements_waiting", "Requests that need a sandbox and no worker has taken", labels=["family"]
    )
    for queue, length in lengths.items():
        waiting.add_metric([names[queue]], length)
    return [waiting]


async def _events(backends: Backends) -> list[Metric]:
    state = backends.stores.state
    backlog = await event_backlog(backends.broker, state)
    waiting = GaugeMetricFamily("hearth_events_waiting", "Events in the broker's queues", labels=["where"])
    for where, counts in (("queued", backlog.queued), ("delayed", backlog.delayed)):
        waiting.add_metric([where], sum(counts.values()))
    waiting.add_metric(["aside"], sum(backlog.aside.values()))
    dropped = CounterMetricFamily("hearth_events_dropped", "Events given up", labels=["function", "reason"])
    for (function, reason), count in (await dropped_counts(state)).items():
        dropped.add_metric([function, reason], count)
    return [waiting, dropped]


async def _workflows(backends: Backends) -> list[Metric]:
    backlog = await workflow_backlog(backends.stores.state, backends.clock.now_ms())
    figures = {
        "messages_waiting": ("Starts, results and signals that no orchestrator has taken in", backlog.messages),
        "lag_seconds": ("Age of the oldest of them", backlog.lag_s),
        "timers_waiting": ("Timers of executions that wait", backlog.timers),
        "timers_overdue_seconds": ("For how long the first of them has been due", backlog.overdue_s),
    }
    return [GaugeMetricFamily(f"hearth_workflow_{name}", text, value=value) for name, (text, value) in figures.items()]


async def _mappings(backends: Backends) -> list[Metric]:
    """How far event source mappings are, as their pollers tell about once a second."""
    labels = ["mapping", "function", "unit"]
    age = GaugeMetricFamily(
        "hearth_mapping_iterator_age_seconds", "Age of the oldest record that is not done; 0: none", labels=labels
    )
    failing = GaugeMetricFamily("hearth_mapping_failing", "1: its last batch failed", labels=labels)
    for mapping in await backends.mappings.all():
        for unit, one in (await backends.mappings.progress(mapping)).items():
            where = [mapping.uuid, mapping.function_arn, unit]
            age.add_metric(where, max(0.0, (now_ms() - one.oldest_at_ms) / 1000) if one.oldest_at_ms else 0.0)
            failing.add_metric(where, float(bool(one.error)))
    return [age, failing]


_ASKED = (_workers, _placements, _events, _workflows, _mappings)
