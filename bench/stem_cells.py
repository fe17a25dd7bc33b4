"""`python bench/stem_cells.py`: what a stock of stem cells costs warm requests.

Two platforms, each with servers of its own, run side by side: one keeps stem cells, the other none. In every round both
get the same load one after the other, in alternating order, and are compared within the round. The cells are there
before the first round, idle as they are on a platform that nobody new calls.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import environment  # noqa: E402
from bench.bare_pipe.runtime import chosen  # noqa: E402
from bench.command import execute, say  # noqa: E402
from bench.cpu import cpu_seconds, spent_between  # noqa: E402
from bench.hearth_platform import Platform  # noqa: E402
from bench.load import run_load  # noqa: E402
from bench.measure import PAYLOADS  # noqa: E402
from bench.stack import DATA, start_platform, start_servers  # noqa: E402
from workers.runtimes import installed  # noqa: E402

FUNCTION = ROOT / "bench" / "function" / "app.py"
NAME = "bench-warm"
WITH, WITHOUT = "with cells", "without"
CONCURRENCIES = (1, 8)
#: until every runtime of the host has its first cell
STOCKED_S = 8.0
WARM_UP_S = 2.0
ROOM = 32


@dataclass(frozen=True, slots=True)
class Figures:
    throughput: float
    p50_ms: float
    cpu_us: float
    errors: int


class Side:
    def __init__(self, platform: Platform, servers: dict[str, int]) -> None:
        self._platform = platform
        self._servers = servers

    async def measure(self, concurrency: int, seconds: float) -> Figures:
        requests = self._platform.requests(NAME, PAYLOADS)
        roots = {**self._servers, **self._platform.roots()}
        before = cpu_seconds(roots)
        load = await run_load(
            self._platform.host, self._platform.port, requests, concurrency=concurrency, seconds=seconds
        )
        spent_s = sum(spent_between(before, cpu_seconds(roots)).values())
        answers = max(1, len(load.latencies_ns))
        return Figures(load.throughput, load.percentile_ms(50), spent_s / answers * 1e6, sum(load.errors.values()))


async def start(stack: AsyncExitStack, name: str, data: Path, cells: int) -> Side:
    servers = await start_servers(stack, max_sandboxes=ROOM, data=data, stem_cells=cells)
    platform = await start_platform(stack, servers)
    await platform.deploy(NAME, FUNCTION, chosen(installed(servers.settings)).family)
    side = Side(platform, servers.pids)
    for concurrency in CONCURRENCIES:
        say(f"{name}: warming up at {concurrency}")
        await side.measure(concurrency, WARM_UP_S)
    return side


async def run(options: argparse.Namespace) -> int:
    """0: measured. 1: some request failed, so that the figures are worth nothing."""
    beside = DATA.with_name("bench-beside")
    beside.mkdir(parents=True, exist_ok=True)
    if not (beside / "runtimes").exists():
        (beside / "runtimes").symlink_to(DATA / "runtimes")  # dear to make
    found: dict[tuple[str, int], list[Figures]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        sides = {
            WITH: await start(stack, WITH, DATA, options.cells),
            WITHOUT: await start(stack, WITHOUT, beside, 0),
        }
        await asyncio.sleep(STOCKED_S)
        for number in range(options.rounds):
            for concurrency in CONCURRENCIES:
                for name in (WITH, WITHOUT) if number % 2 else (WITHOUT, WITH):
                    one = await sides[name].measure(concurrency, options.seconds)
                    say(f"round {number + 1}: {name} at {concurrency}: {one.throughput:.0f}/s, {one.cpu_us:.0f} µs")
                    found[name, concurrency].append(one)
    print(f"commit {environment.commit(ROOT)}, {options.rounds} rounds of {options.seconds} s\n\n{table(found)}")
    return 1 if any(one.errors for figures in found.values() for one in figures) else 0


def table(found: dict[tuple[str, int], list[Figures]]) -> str:
    """Markdown: medians of both, and the ratio of each round."""
    lines = [
        "| in flight | | with cells | without | with / without: min – median – max |",
        "| --- | --- | --- | --- | --- |",
    ]
    for concurrency in CONCURRENCIES:
        for title, member in (("throughput, 1/s", "throughput"), ("p50, ms", "p50_ms"), ("CPU, µs", "cpu_us")):
            ours, others = ([getattr(one, member) for one in found[side, concurrency]] for side in (WITH, WITHOUT))
            ratios = sorted(one / other for one, other in zip(ours, others, strict=True))
            middle = f"{ratios[0]:.2f} – **{median(ratios):.2f}** – {ratios[-1]:.2f}"
            lines.append(f"| {concurrency} | {title} | {median(ours):.4g} | {median(others):.4g} | {middle} |")
    return "\n".join(lines)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="rounds of both platforms (8)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement (2)")
    parser.add_argument("--cells", type=int, default=2, help="HEARTH_STEM_CELLS of the one that keeps some (2)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(execute(run, parsed()))
