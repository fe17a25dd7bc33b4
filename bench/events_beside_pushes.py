"""`make bench-events`: how much slower pushes are while events come in and run as fast as they can.

Each round measures pushes alone, then the same pushes beside clients that send events without pause; the ratio is taken
within the round. At the end both go on together for longer, between two more measurements of pushes alone that they are
compared with, and the memory of each service is read before and after.
The clients are of this process and cost little, so what is measured is the platform; the platform is one gateway, one
worker and one poller, as in `make bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import environment  # noqa: E402
from bench.bare_pipe.runtime import chosen  # noqa: E402
from bench.command import execute, say  # noqa: E402
from bench.cpu import SANDBOX, cpu_seconds  # noqa: E402
from bench.hearth_platform import Platform  # noqa: E402
from bench.load import Load, Request, run_load  # noqa: E402
from bench.measure import PAYLOADS  # noqa: E402
from bench.stack import start_platform, start_servers  # noqa: E402
from workers.runtimes import installed  # noqa: E402

FUNCTION = ROOT / "bench" / "function" / "app.py"
PUSHED, EVENTED = "bench-pushed", "bench-evented"
PUSHERS = 2
WARM_UP_S = 3.0
#: events that wait when a measurement ends must have run within this, seconds
DRAIN_S = 120.0
ROOM = 32


@dataclass(frozen=True, slots=True)
class Beside:
    """One measurement of pushes; events_s: accepted per second meanwhile."""

    push: Load
    events: Load | None

    @property
    def events_s(self) -> float:
        return self.events.throughput if self.events else 0.0


class Mixed:
    def __init__(self, platform: Platform, clients: int) -> None:
        self._platform = platform
        self._clients = clients
        self.errors: Counter[str] = Counter()
        self.full = 0

    async def measure(self, seconds: float, *, with_events: bool) -> Beside:
        pushes = self._platform.requests(PUSHED, PAYLOADS)
        if not with_events:
            push, events = await self._load(pushes, PUSHERS, seconds), None
        else:
            sent = self._platform.event_requests(EVENTED, PAYLOADS)
            async with asyncio.TaskGroup() as tasks:
                pushing = tasks.create_task(self._load(pushes, PUSHERS, seconds))
                sending = tasks.create_task(self._load(sent, self._clients, seconds))
            push, events = pushing.result(), sending.result()
        for load in (push, events):
            self._note(load)
        return Beside(push, events)

    async def drained(self) -> float:
        """Seconds until every accepted event has run."""
        started = asyncio.get_running_loop().time()
        async with asyncio.timeout(DRAIN_S):
            while await self._platform.events_waiting():  # noqa: ASYNC110 - the broker's queues tell nobody
                await asyncio.sleep(0.2)
        return asyncio.get_running_loop().time() - started

    def memory_mb(self) -> dict[str, float]:
        """Resident, of each service with its processes; sandboxes not counted."""
        found = {}
        for kind, pids in cpu_seconds(self._platform.roots()).items():
            if kind != SANDBOX:
                found[kind] = sum(_resident_mb(pid) for pid in pids)
        return found

    async def _load(self, requests: Sequence[Request], concurrency: int, seconds: float) -> Load:
        host, port = self._platform.host, self._platform.port
        return await run_load(host, port, requests, concurrency=concurrency, seconds=seconds)

    def _note(self, load: Load | None) -> None:
        """A full queue is answered with 429: the platform's way to hold back who sends too fast."""
        for what, number in (load.errors if load else {}).items():
            if what.startswith("429"):
                self.full += number
            else:
                self.errors[what] += number


def _resident_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


async def run(options: argparse.Namespace) -> int:
    """0: measured. 1: some request failed, so that the figures are worth nothing."""
    machine = environment.machine()
    async with AsyncExitStack() as stack:
        servers = await start_servers(stack, max_sandboxes=ROOM)
        platform = await start_platform(stack, servers)
        family = chosen(installed(servers.settings)).family
        for function in (PUSHED, EVENTED):
            await platform.deploy(function, FUNCTION, family)
        mixed = Mixed(platform, options.clients)
        await mixed.measure(WARM_UP_S, with_events=True)
        await mixed.drained()
        rounds = []
        for number in range(1, options.rounds + 1):
            alone = await mixed.measure(options.seconds, with_events=False)
            beside = await mixed.measure(options.seconds, with_events=True)
            drain_s = await mixed.drained()
            rounds.append((alone, beside))
            say(f"round {number}: {_words(alone)}; beside {_words(beside)}; drained in {drain_s:.1f} s")
        around = [await mixed.measure(options.seconds, with_events=False)]
        before = mixed.memory_mb()
        long = await mixed.measure(options.long, with_events=True)
        after = mixed.memory_mb()
        drain_s = await mixed.drained()
        around.append(await mixed.measure(options.seconds, with_events=False))
    around_ms = [alone.push.percentile_ms(99) for alone in around]
    ratios = [beside.push.percentile_ms(99) / alone.push.percentile_ms(99) for alone, beside in rounds]
    lines = [
        f"machine: {json.dumps(machine)}",
        f"pushes alone, p99 ms: {_figures([alone.push.percentile_ms(99) for alone, _ in rounds])}",
        f"beside events from {options.clients} clients, p99 ms: "
        f"{_figures([beside.push.percentile_ms(99) for _, beside in rounds])}",
        f"ratio of p99: {_figures(ratios)}; median {median(ratios):.2f}",
        f"{options.long:g} s together: {_words(long)}; then drained in {drain_s:.1f} s",
        f"alone before and after it, p99 ms: {_figures(around_ms)}; "
        f"ratio of p99 {long.push.percentile_ms(99) / mean(around_ms):.2f}",
        f"memory before, MB: {_rounded(before)}; after: {_rounded(after)}",
        f"events refused because their queue was full: {mixed.full}",
    ]
    print("\n".join(lines))
    for what, count in mixed.errors.items():
        print(f"FAILED {count} x {what}", file=sys.stderr)
    return 1 if mixed.errors else 0


def _words(one: Beside) -> str:
    push = one.push
    words = f"{push.throughput:.0f} pushes/s, p50 {push.percentile_ms(50):.1f}, p99 {push.percentile_ms(99):.1f} ms"
    return f"{words}, {one.events_s:.0f} events/s" if one.events else words


def _figures(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _rounded(values: dict[str, float]) -> str:
    return ", ".join(f"{kind} {value:.0f}" for kind, value in values.items())


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of pushes alone and beside events (5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement (5)")
    parser.add_argument("--clients", type=int, default=8, help="connections that send events without pause (8)")
    parser.add_argument("--long", type=float, default=60.0, help="seconds of both together at the end (60)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(execute(run, parsed()))
