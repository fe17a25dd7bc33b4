"""`make bench-workflows`: transitions per second and start-to-end latency of Express and Standard executions.

Express executions are awaited (StartSyncExecution). Standard ones are started in a closed loop: each caller starts the
next one when its last has ended, which it sees in the durable store. fsync is on (`appendfsync always`); how often it
is called is counted by strace in a run of its own, which is not timed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import environment  # noqa: E402
from bench.bare_pipe.runtime import chosen  # noqa: E402
from bench.command import execute, say  # noqa: E402
from bench.cpu import cpu_seconds, spent_between  # noqa: E402
from bench.hearth_platform import Platform  # noqa: E402
from bench.load import run_load  # noqa: E402
from bench.stack import start_platform, start_servers  # noqa: E402
from hearth.store import keys  # noqa: E402
from workers.runtimes import installed  # noqa: E402

FUNCTION = ROOT / "bench" / "function" / "app.py"
NAME = "bench-task"
CONCURRENCIES = (1, 16)
#: iterations: 10 to 5,000 events and more
GROWTH = (2, 25, 250, 1250)
#: how often ends are looked for
_LOOK_S = 0.001


@dataclass(frozen=True, slots=True)
class Case:
    """transitions: states entered by one execution."""

    name: str
    definition: dict[str, Any]
    transitions: int


@dataclass(frozen=True, slots=True)
class Figures:
    case: str
    kind: str
    concurrency: int
    executions: int
    transitions_s: float
    p50_ms: float
    p99_ms: float


def loop(times: int) -> Case:
    """A counter and a Choice until it has counted to `times`."""
    states = {
        "Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Enough"},
        "Enough": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": times, "Next": "Add"}],
            "Default": "End",
        },
        "End": {"Type": "Succeed"},
    }
    return Case(f"{times} Choice", {"StartAt": "Add", "States": states}, 2 * times + 1)


def cases() -> list[Case]:
    passes = {f"P{n}": {"Type": "Pass", "Next": f"P{n + 1}"} for n in range(9)}
    chain = {"StartAt": "P0", "States": passes | {"P9": {"Type": "Pass", "End": True}}}
    return [Case("ten Pass", chain, 10), loop(100), tasks(3), tasks(10)]


def tasks(count: int) -> Case:
    """A chain of Lambda tasks."""
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{NAME}"
    states: dict[str, Any] = {
        f"T{n}": {"Type": "Task", "Resource": arn, **({"Next": f"T{n + 1}"} if n < count - 1 else {"End": True})}
        for n in range(count)
    }
    return Case(f"{count} Lambda tasks", {"StartAt": "T0", "States": states}, count)


class Standard:
    """Starts executions and sees them end."""

    def __init__(self, platform: Platform, redis: Redis) -> None:
        self._platform = platform
        self._redis = redis
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def watch(self) -> None:
        """One look for all that are waited for."""
        while True:
            await asyncio.sleep(_LOOK_S)
            arns = list(self._waiting)
            if not arns:
                continue
            pipeline = self._redis.pipeline(transaction=False)
            for arn in arns:
                pipeline.hget(keys.execution(arn), "status")
            for arn, status in zip(arns, await pipeline.execute(), strict=True):
                if status not in (None, b"RUNNING"):
                    if status != b"SUCCEEDED":
                        raise RuntimeError(f"{arn} has {status}")
                    self._waiting.pop(arn).set_result(None)

    async def measure(self, machine: str, concurrency: int, seconds: float, count: int = 0) -> list[float]:
        """Latencies (s) of what ended within the time, or of `count` executions."""
        latencies: list[float] = []
        until_s = time.perf_counter() + seconds
        left = count

        async def caller() -> None:
            nonlocal left
            reader, writer = await asyncio.open_connection(self._platform.host, self._platform.port)
            while left > 0 if count else time.perf_counter() < until_s:
                left -= 1
                name = uuid.uuid4().hex
                body = orjson.dumps({"stateMachineArn": machine, "name": name, "input": '{"n": 0}'})
                (request,) = self._platform.call_requests("StartExecution", [body])
                arn = machine.replace(":stateMachine:", ":execution:") + f":{name}"
                ended = self._waiting[arn] = asyncio.get_running_loop().create_future()
                began_s = time.perf_counter()
                writer.write(request.wire)
                await _answer(reader)
                await ended
                latencies.append(time.perf_counter() - began_s)
            writer.close()

        async with asyncio.TaskGroup() as group:
            watching = asyncio.create_task(self.watch())
            callers = [group.create_task(caller()) for _ in range(concurrency)]
            await asyncio.wait(callers)
            watching.cancel()
        return latencies


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
    body = await reader.readexactly(length)
    if b" 200 " not in head[:20]:
        raise RuntimeError(body.decode())
    return body


async def fsyncs(pid: int, standard: Standard, machine: str, concurrency: int, count: int) -> int | None:
    """Of the durable store while `count` executions run; None: strace isn't there."""
    if shutil.which("strace") is None:
        return None
    with tempfile.NamedTemporaryFile() as calls:
        tracing = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-e", "trace=fdatasync,fsync", "-o", calls.name, "-p", str(pid)),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(0.5)
        await standard.measure(machine, concurrency, 0, count)
        tracing.send_signal(signal.SIGINT)
        await tracing.wait()
        return sum(b"sync(" in line for line in calls)


async def growth(platform: Platform, standard: Standard, times: int) -> str:
    """What a transition costs in a history of that many iterations."""
    case = loop(times)
    machine = await asyncio.to_thread(create, platform, case, "STANDARD")
    count = max(4, 4000 // case.transitions)
    pid = {"orchestrator": platform.roots()["orchestrator"]}
    await standard.measure(machine, 1, 0, 4)
    before = cpu_seconds(pid)
    await standard.measure(machine, 4, 0, count)
    spent = spent_between(before, cpu_seconds(pid))["orchestrator"]
    return f"{4 * times + 4} events {spent / count / case.transitions * 1e6:.0f} us"


async def kept(platform: Platform, standard: Standard, count: int) -> str:
    """The orchestrator's memory after a first tenth of `count` executions have ended, and after all."""
    machine = await asyncio.to_thread(create, platform, Case("kept", cases()[0].definition, 10), "STANDARD")
    pid = platform.roots()["orchestrator"]
    await standard.measure(machine, 16, 0, count // 10)
    before = resident_mb(pid)
    await standard.measure(machine, 16, 0, count - count // 10)
    after = resident_mb(pid)
    return f"the orchestrator's memory after {count // 10} executions {before:.0f} MB, after {count} {after:.0f} MB"


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def figures(case: Case, kind: str, concurrency: int, latencies_ms: Sequence[float], seconds: float) -> Figures:
    ordered = sorted(latencies_ms)

    def at(percent: float) -> float:
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan

    rate = len(ordered) * case.transitions / seconds
    return Figures(case.name, kind, concurrency, len(ordered), rate, at(50), at(99))


def create(platform: Platform, case: Case, kind: str) -> str:
    name = f"{case.name.replace(' ', '-')}-{kind.lower()}"
    definition = json.dumps(case.definition)
    made = platform.client("stepfunctions").create_state_machine(
        name=name, type=kind, definition=definition, roleArn="arn:aws:iam::000000000000:role/bench"
    )
    return str(made["stateMachineArn"])


async def run(options: argparse.Namespace) -> int:
    rows: list[Figures] = []
    syncs: list[str] = []
    lines: list[str] = []
    async with AsyncExitStack() as stack:
        servers = await start_servers(stack, max_sandboxes=64)
        platform = await start_platform(stack, servers)
        runtime = chosen(installed(servers.settings))
        await platform.deploy(NAME, FUNCTION, runtime.family)
        redis = Redis.from_url(servers.settings.state_url or "")
        stack.push_async_callback(redis.aclose)
        standard = Standard(platform, redis)
        for case in cases():
            if options.only not in case.name:
                continue
            express = await asyncio.to_thread(create, platform, case, "EXPRESS")
            machine = await asyncio.to_thread(create, platform, case, "STANDARD")
            for concurrency in CONCURRENCIES:
                bodies = [orjson.dumps({"stateMachineArn": express, "input": '{"n": 0}'})] * 64
                requests = platform.call_requests("StartSyncExecution", bodies)
                await run_load(platform.host, platform.port, requests, concurrency=concurrency, seconds=0.5)
                load = await run_load(
                    platform.host, platform.port, requests, concurrency=concurrency, seconds=options.seconds
                )
                if load.errors:
                    raise RuntimeError(str(load.errors))
                latencies_ms = [one / 1e6 for one in load.latencies_ns]
                rows.append(figures(case, "Express", concurrency, latencies_ms, load.seconds))
                await standard.measure(machine, concurrency, 0.5)
                began_s = time.perf_counter()
                latencies = await standard.measure(machine, concurrency, options.seconds)
                took_s = time.perf_counter() - began_s
                rows.append(figures(case, "Standard", concurrency, [one * 1000 for one in latencies], took_s))
                for row in rows[-2:]:
                    say(f"{row.case}, {row.kind} at {concurrency}: {row.transitions_s:.0f}/s, p50 {row.p50_ms:.2f} ms")
                count = 40 * concurrency
                if (seen := await fsyncs(servers.pids["state"], standard, machine, concurrency, count)) is not None:
                    each = seen / (count * case.transitions)
                    syncs.append(f"{case.name} at {concurrency}: {each:.3f} ({seen / count:.1f} an execution)")
        if options.only in "history":
            flat = "; ".join([await growth(platform, standard, times) for times in GROWTH])
            lines.append(f"CPU of the orchestrator per transition by length of the history (Standard): {flat}")
        if options.only in "memory":
            lines.append(await kept(platform, standard, options.executions))
    if rows:
        lines.append(
            "fsync calls of the durable store per transition (Standard): " + "; ".join(syncs or ["not counted"])
        )
        print(table(rows))
    print("\n".join(lines))
    print(json.dumps({"machine": environment.machine(), "commit": environment.commit(ROOT)}))
    return 0


def table(rows: Sequence[Figures]) -> str:
    lines = [
        "| workflow | type | at once | executions | transitions/s | p50 ms | p99 ms |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {one.case} | {one.kind} | {one.concurrency} | {one.executions} | {one.transitions_s:,.0f} "
        f"| {one.p50_ms:.2f} | {one.p99_ms:.2f} |"
        for one in rows
    ]
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement (5)")
    parser.add_argument("--executions", type=int, default=10_000, help="after which memory is looked at (10000)")
    parser.add_argument("--only", default="", help='cases with this in their names; "history" or "memory": only that')
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(execute(run, parsed()))
