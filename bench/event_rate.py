"""Asynchronous invocations: how fast they are accepted, how fast they are run, and how long one waits to be run.

An event is accepted (202) only after a confirmed publish to a durable queue. When each one ran is what the function
wrote to its log, by the monotonic clock that the processes of a host share.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.hearth_platform import Platform
from bench.load import Load, run_load

FUNCTION = "bench-events"
SOURCE = Path(__file__).parent / "event_function" / "app.py"
CONCURRENCY = 8
#: between events of which each should find the platform idle, seconds
APART_S = 0.05
SINGLE = 50
#: all must have run within this after the last was accepted, seconds
_RUN_S = 120.0
_READ_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class EventFigures:
    """accepted_s, run_s: events per second. waited_ms: from a 202 to the handler, on an idle platform, median."""

    accepted: int
    accepted_s: float
    run_s: float
    single_waited_ms: float
    errors: dict[str, int]


async def measure(platform: Platform, runtime: str, burst: int) -> EventFigures:
    """A burst over CONCURRENCY connections, then single events. One that has not run at the end is an error."""
    await platform.deploy(FUNCTION, SOURCE, runtime)
    payloads = [b'{"number": %d}' % number for number in range(burst + SINGLE)]
    requests = platform.event_requests(FUNCTION, payloads)
    load = await run_load(platform.host, platform.port, requests[:burst], concurrency=CONCURRENCY, count=burst)
    errors = Counter(load.errors)
    ran = await _all_run(platform, len(load.sent_ns))
    singles: dict[int, Load] = {}
    for number in range(burst, burst + SINGLE):
        one = singles[number] = await run_load(platform.host, platform.port, [requests[number]], concurrency=1, count=1)
        errors.update(one.errors)
        await asyncio.sleep(APART_S)
    accepted = len(load.sent_ns) + sum(len(one.sent_ns) for one in singles.values())
    ran = await _all_run(platform, accepted)
    if len(ran) < accepted:
        errors["accepted and not run"] = accepted - len(ran)
    took_s = (max(ran[number] for number in ran if number < burst) - min(load.sent_ns)) / 1e9
    waited = [ran[number] - one.sent_ns[0] - one.latencies_ns[0] for number, one in singles.items() if number in ran]
    return EventFigures(accepted, load.throughput, burst / took_s, median(waited) / 1e6, dict(errors))


async def _all_run(platform: Platform, wanted: int) -> dict[int, int]:
    """Number of an event -> when it ran first (monotonic ns); fewer than wanted if time runs out."""
    until_s = asyncio.get_running_loop().time() + _RUN_S
    while True:
        await asyncio.sleep(_READ_EVERY_S)
        ran: dict[int, int] = {}
        for line in await platform.log_lines(FUNCTION, "RAN"):
            _, number, at_ns = line.split()
            ran[int(number)] = min(int(at_ns), ran.get(int(number), int(at_ns)))
        if len(ran) >= wanted or asyncio.get_running_loop().time() > until_s:
            return ran


def table(figures: EventFigures) -> str:
    """Markdown."""
    return "\n".join(
        [
            "| events | |",
            "| --- | --- |",
            f"| accepted with confirms at {CONCURRENCY}, 1/s | {figures.accepted_s:.0f} |",
            f"| run, from the first request to the last run, 1/s | {figures.run_s:.0f} |",
            f"| from the 202 to the run, idle platform, ms (median) | {figures.single_waited_ms:.1f} |",
        ]
    )
