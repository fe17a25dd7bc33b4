"""`make bench-streams`: a stream's shard and the mapping that reads it; what ten mappings cost that have nothing to do.

In one run, on one platform: records per second put into one shard (PutRecords of 500); how fast a mapping that was
disabled meanwhile gets them out again in batches of 500, and so recovers from its lag; the time from a PutRecord's
sending to the function's start, beside that of a warm Invoke; CPU time of ten idle mappings, beside the same platform
without them. The state server runs with `appendfsync always`, as the platform's own does.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import environment  # noqa: E402
from bench.bare_pipe.runtime import chosen  # noqa: E402
from bench.command import execute, say  # noqa: E402
from bench.cpu import SANDBOX, cpu_seconds, spent_between  # noqa: E402
from bench.hearth_platform import Platform  # noqa: E402
from bench.load import Load, run_load  # noqa: E402
from bench.measure import PAYLOADS  # noqa: E402
from bench.stack import start_platform, start_servers  # noqa: E402
from workers.runtimes import installed  # noqa: E402

READER, PUSHED = "bench-reader", "bench-pushed"
STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
BATCH = 500
#: of a record's data
RECORD_BYTES = 100
PUTTERS = 4
IDLE_MAPPINGS = 10
#: between two records, or two Invokes, whose way is timed: each finds everything idle
PAUSE_S = 0.05
ROUNDS = 4
#: until something that must come has come
PATIENCE_S = 120.0


class Streams:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._kinesis = platform.client("kinesis")
        self._lambda = platform.client("lambda")

    async def make(self, stream: str) -> None:
        await asyncio.to_thread(self._kinesis.create_stream, StreamName=stream, ShardCount=1)

    async def map(self, stream: str, **given: Any) -> str:
        """A mapping that is enabled; its id."""
        made = await asyncio.to_thread(
            self._lambda.create_event_source_mapping,
            EventSourceArn=STREAM_ARN + stream,
            FunctionName=READER,
            StartingPosition="LATEST",
            **given,
        )
        await self.reach(made["UUID"], "Enabled")
        return str(made["UUID"])

    async def enable(self, mapping: str, on: bool) -> None:
        await asyncio.to_thread(self._lambda.update_event_source_mapping, UUID=mapping, Enabled=on)

    async def reach(self, mapping: str, state: str) -> None:
        def reached() -> bool:
            return bool(self._lambda.get_event_source_mapping(UUID=mapping)["State"] == state)

        await come(reached)

    async def fill(self, stream: str, records: int) -> Load:
        """PutRecords calls over PUTTERS connections until so many records are in."""
        bodies = [_records(stream, number) for number in range(0, records, BATCH)]
        requests = self._platform.put_requests("PutRecords", bodies)
        return await run_load(
            self._platform.host, self._platform.port, requests, concurrency=PUTTERS, count=len(requests)
        )

    async def put_each(self, stream: str, numbers: range) -> Load:
        """A PutRecord of each, one after the other on one connection, with pauses."""
        bodies = [
            orjson.dumps({"StreamName": stream, "PartitionKey": "k", "Data": _data(number)}) for number in numbers
        ]
        requests = self._platform.put_requests("PutRecord", bodies)
        load = await run_load(
            self._platform.host, self._platform.port, requests, concurrency=1, count=len(requests), pause_s=PAUSE_S
        )
        if load.errors:
            raise RuntimeError(str(load.errors))
        return load

    async def got(self, since_ns: int, records: int) -> list[tuple[int, int, int]]:
        """(records, first one's number, start in ns) of the function's runs since then, once they are complete."""

        def lines() -> list[tuple[int, int, int]]:
            found = [line.split()[-3:] for line in self._platform.read_log(READER, "GOT")]
            runs = [(int(count), int(number), int(at)) for count, number, at in found if int(at) >= since_ns]
            return sorted(runs, key=lambda one: one[2]) if sum(one[0] for one in runs) >= records else []

        return await come(lines)


async def come(what: Callable[[], Any]) -> Any:
    """The first true answer, asked for in a thread."""
    limit_s = time.monotonic() + PATIENCE_S
    while not (answer := await asyncio.to_thread(what)):
        if time.monotonic() > limit_s:
            raise TimeoutError(f"never came: {what}")
        await asyncio.sleep(0.2)
    return answer


def _data(number: int) -> str:
    return base64.b64encode(f"{number} ".encode().ljust(RECORD_BYTES, b"x")).decode()


def _records(stream: str, first: int) -> bytes:
    records = [{"Data": _data(number), "PartitionKey": f"key-{number % 97}"} for number in range(first, first + BATCH)]
    return orjson.dumps({"StreamName": stream, "Records": records})


async def in_and_out(streams: Streams, roots: dict[str, int], count: int) -> list[str]:
    await streams.make("bench-full")
    mapping = await streams.map("bench-full", BatchSize=BATCH)
    # so that a sandbox is warm
    warm_ns = time.monotonic_ns()
    await streams.fill("bench-full", BATCH)
    await streams.got(warm_ns, BATCH)
    await streams.enable(mapping, on=False)
    await streams.reach(mapping, "Disabled")
    load = await streams.fill("bench-full", count)
    if load.errors:
        raise RuntimeError(str(load.errors))
    put_s = len(load.latencies_ns) * BATCH / load.seconds
    before, enabled_ns = cpu_seconds(roots), time.monotonic_ns()
    await streams.enable(mapping, on=True)
    runs = await streams.got(enabled_ns, count)
    spent = spent_between(before, cpu_seconds(roots))
    await streams.enable(mapping, on=False)
    first_ns, last_ns = runs[0][2], runs[-1][2]
    got_s = sum(run[0] for run in runs[:-1]) / (last_ns - first_ns) * 1e9
    usual = median(run[0] for run in runs)
    return [
        f"into one shard: {put_s:,.0f} records/s (PutRecords of {BATCH}, {PUTTERS} connections)",
        f"out of one shard: {got_s:,.0f} records/s in {len(runs)} batches (median {usual:.0f} records)",
        "CPU per record, us: " + ", ".join(f"{kind} {used / count * 1e6:.1f}" for kind, used in sorted(spent.items())),
        f"a lag of {count:,} records: gone {(last_ns - enabled_ns) / 1e9:.1f} s after the mapping was enabled again",
    ]


async def latency(streams: Streams, platform: Platform, count: int) -> list[str]:
    """What else the machine does meets all three alike: they are interleaved. The clock is the host's."""
    await streams.make("bench-quick")
    await streams.map("bench-quick")
    requests = platform.requests(PUSHED, PAYLOADS)
    warm_ms: list[float] = []
    paced_ms: list[float] = []
    put_ms: list[float] = []
    stored_ms: list[float] = []
    each = count // ROUNDS
    for numbers in (range(number * each, (number + 1) * each) for number in range(ROUNDS)):
        await run_load(platform.host, platform.port, requests, concurrency=1, seconds=0.5)
        warm = await run_load(platform.host, platform.port, requests, concurrency=1, seconds=1.0)
        paced = await run_load(platform.host, platform.port, requests, concurrency=1, count=each, pause_s=PAUSE_S)
        began_ns = time.monotonic_ns()
        puts = await streams.put_each("bench-quick", numbers)
        starts = {first + one: at for size, first, at in await streams.got(began_ns, each) for one in range(size)}
        warm_ms += [one / 1e6 for one in warm.latencies_ns]
        paced_ms += [one / 1e6 for one in paced.latencies_ns]
        put_ms += [(starts[one] - at) / 1e6 for one, at in zip(numbers, puts.sent_ns, strict=True)]
        stored_ms += [one / 1e6 for one in puts.latencies_ns]
    put50, stored50, paced50, warm50 = (_at(of, 50) for of in (put_ms, stored_ms, paced_ms, warm_ms))
    return [
        f"PutRecord to function start: p50 {put50:.2f} ms, p99 {_at(put_ms, 99):.2f} ms ({len(put_ms)} records)",
        f"PutRecord to its own answer, the record on the disk: p50 {stored50:.2f} ms, p99 {_at(stored_ms, 99):.2f} ms",
        f"a warm Invoke at the same pace: p50 {paced50:.2f} ms, p99 {_at(paced_ms, 99):.2f} ms; "
        f"ratio of p50: {put50 / paced50:.2f}",
        f"a warm Invoke without pauses: p50 {warm50:.2f} ms, p99 {_at(warm_ms, 99):.2f} ms; "
        f"ratio of p50: {put50 / warm50:.2f}",
    ]


async def idle(streams: Streams, roots: dict[str, int], seconds: float) -> list[str]:
    """CPU of services and servers without and with idle mappings (others of this run are disabled or idle, too)."""
    before_s = await _cores(roots, seconds)
    for number in range(IDLE_MAPPINGS):
        await streams.make(f"bench-idle-{number}")
        await streams.map(f"bench-idle-{number}")
    await asyncio.sleep(3.0)
    after_s = await _cores(roots, seconds)
    more = {kind: 100 * (after_s[kind] - before_s.get(kind, 0.0)) for kind in after_s}
    shown = ", ".join(f"{kind} {percent:+.2f}" for kind, percent in sorted(more.items()))
    return [f"{IDLE_MAPPINGS} idle mappings: {sum(more.values()):.2f} % of a core more ({shown})"]


async def _cores(roots: dict[str, int], seconds: float) -> dict[str, float]:
    before = cpu_seconds(roots)
    await asyncio.sleep(seconds)
    spent = spent_between(before, cpu_seconds(roots))
    return {kind: used / seconds for kind, used in spent.items() if kind != SANDBOX}


def _at(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def run(options: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        servers = await start_servers(stack, max_sandboxes=16)
        platform = await start_platform(stack, servers)
        family = chosen(installed(servers.settings)).family
        await platform.deploy(READER, ROOT / "bench" / "stream_function" / "app.py", family)
        await platform.deploy(PUSHED, ROOT / "bench" / "function" / "app.py", family)
        streams, lines = Streams(platform), []
        roots = {**platform.roots(), **servers.pids}
        for part in (
            lambda: in_and_out(streams, roots, options.records),
            lambda: latency(streams, platform, options.puts),
            lambda: idle(streams, roots, options.idle),
        ):
            lines += (found := await part())
            for line in found:
                say(line)
    print("\n".join(lines))
    print(json.dumps({"machine": environment.machine(), "commit": environment.commit(ROOT)}))
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="records in and out of a shard (100000)")
    parser.add_argument("--puts", type=int, default=400, help="single records whose way is timed (400)")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds in which nothing is to do, twice (20)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(execute(run, parsed()))
