"""`make bench`: warm invokes through the platform with everything on, against a bare pipe of the same parts and Celery.

All run on the same broker with the same function. Platform and bare pipe have the same interpreter and runtime
client, one gateway process and one worker process each; Celery has one caller, and a process for each call in flight.
In every round they are measured one after the other at each concurrency, in alternating order, and compared within
the round: what else the machine does then hits all. Everything it starts is private and ends with it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import cold_start, environment, event_rate, report  # noqa: E402
from bench.bare_pipe.pipe import BarePipe  # noqa: E402
from bench.bare_pipe.runtime import chosen, plain_command  # noqa: E402
from bench.celery_rpc import peer as celery_rpc  # noqa: E402
from bench.cold_start import ColdFigures  # noqa: E402
from bench.command import execute, say  # noqa: E402
from bench.event_rate import EventFigures  # noqa: E402
from bench.hearth_platform import Platform  # noqa: E402
from bench.measure import Bench, function_name  # noqa: E402
from bench.report import HEARTH, ColdStarts, Measured  # noqa: E402
from bench.stack import LOG, start_platform, start_servers  # noqa: E402
from hearth.settings import Settings  # noqa: E402
from workers.runtimes import Runtime, installed  # noqa: E402

RESULTS = ROOT / "bench" / "results"
FUNCTION = ROOT / "bench" / "function" / "app.py"
CLOSED_LOOP = "bench-closed-loop"
#: sandboxes start while others serve, so a warm set takes longer than its cold starts
WARM_UP_S = {1: 1.0, 8: 2.0, 32: 5.0}
CONCURRENCIES = tuple(WARM_UP_S)
#: more than the functions need, so that no sandbox has to give way to another function's
ROOM = 2 * sum(CONCURRENCIES)


async def start(stack: AsyncExitStack) -> tuple[Bench, Platform, Runtime, Settings]:
    """Servers, bare pipe and platform, which end with `stack`. Raises AlreadyRunning, StartFailed."""
    servers = await start_servers(stack, max_sandboxes=ROOM)
    settings = servers.settings
    assert settings.broker_url is not None
    runtime = chosen(installed(settings))
    say("starting the bare pipe")
    command = plain_command(runtime, FUNCTION)
    bare = await stack.enter_async_context(BarePipe(settings.broker_url, CONCURRENCIES, command, servers.on_line))
    platform = await start_platform(stack, servers)
    celery = None
    if celery_rpc.installed():
        say("starting Celery")
        peer = celery_rpc.CeleryPeer(settings.broker_url, CONCURRENCIES, servers.on_line)
        celery = await stack.enter_async_context(peer)
    else:
        say("without Celery, which is not installed: pip install -e '.[bench]'")
    return Bench(bare, celery, platform, servers.pids), platform, runtime, settings


async def measure_rounds(bench: Bench, rounds: int, seconds: float) -> list[Measured]:
    """Every target at every concurrency in every round, their order alternating."""
    measured = []
    for number in range(1, rounds + 1):
        for concurrency in CONCURRENCIES:
            for target in bench.targets if number % 2 else reversed(bench.targets):
                one = await bench.measure(target, concurrency, number, seconds)
                say(f"round {number}: {target} at {concurrency}: {one.throughput:.0f}/s, p50 {one.p50_ms:.2f} ms")
                measured.append(one)
    return measured


async def run(options: argparse.Namespace) -> int:
    """0: measured. 1: some request failed, so that the figures are worth nothing."""
    machine = environment.machine()
    async with AsyncExitStack() as stack:
        bench, platform, runtime, settings = await start(stack)
        warm_up = []
        await platform.deploy(CLOSED_LOOP, FUNCTION, runtime.family)
        for concurrency in CONCURRENCIES:
            await platform.deploy(function_name(concurrency), FUNCTION, runtime.family)
            warm_up += [await bench.measure(target, concurrency, 0, WARM_UP_S[concurrency]) for target in bench.targets]
        measured = await measure_rounds(bench, options.rounds, options.seconds)
        say(f"closed loop of {options.serial} invokes")
        closed_loop, errors = await bench.closed_loop(CLOSED_LOOP, options.serial)
        cold_starts = [closed_loop]
        for concurrency in CONCURRENCIES:
            answers = sum(
                one.answers for one in [*warm_up, *measured] if (one.target, one.concurrency) == (HEARTH, concurrency)
            )
            cold_starts.append(await bench.cold_starts(function_name(concurrency), concurrency, answers))
        say(f"{options.events} events")
        events = await event_rate.measure(platform, runtime.family, options.events)
        say(f"cold starts of {options.cold} functions, twice for each language")
        cold = await cold_start.measure(platform, one_of_each(installed(settings), runtime), options.cold)
        facts = {
            "machine": machine,
            "commit": environment.commit(ROOT),
            "versions": await environment.versions(settings),
            "platform": await platform.health(),
            "options": vars(options),
        }
    for one in [*warm_up, *measured]:
        errors.update({f"{one.target} at {one.concurrency}: {what}": n for what, n in one.errors.items()})
    errors.update({f"events: {what}": n for what, n in events.errors.items()})
    errors.update({f"cold {one.runtime}: {what}": n for one in cold for what, n in one.errors.items()})
    publish(facts, measured, cold_starts, events, cold)
    for what, number in errors.items():
        print(f"FAILED {number} x {what}", file=sys.stderr)
    return 1 if errors else 0


def one_of_each(offered: Mapping[str, Runtime], python: Runtime) -> list[Runtime]:
    """The Python that all else is measured with, and the newest of every other language."""
    by_language = {re.sub(r"\d.*", "", family): one for family, one in sorted(offered.items())}
    return list((by_language | {"python": python}).values())


def publish(
    facts: dict[str, Any],
    measured: Sequence[Measured],
    cold_starts: Sequence[ColdStarts],
    events: EventFigures,
    cold: Sequence[ColdFigures],
) -> None:
    """Print the tables; leave them and every figure in bench/results/."""
    text = f"{json.dumps(facts, indent=1)}\n\n{report.tables(measured, cold_starts)}\n\n{event_rate.table(events)}\n\n"
    text += f"{cold_start.table(cold)}\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}-{facts['commit']}"
    content = {**facts, **report.summary(measured, cold_starts), "events": asdict(events)}
    content["cold"] = [asdict(one) for one in cold]
    path.with_suffix(".json").write_text(json.dumps(content, indent=1))
    path.with_suffix(".md").write_text(text)
    say(f"written: {path}.json and .md; log: {LOG}")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all targets and concurrencies (5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement (5)")
    parser.add_argument("--serial", type=int, default=5000, help="invokes of the closed loop for cold starts (5000)")
    parser.add_argument("--events", type=int, default=2000, help="asynchronous invokes accepted at full speed (2000)")
    parser.add_argument("--cold", type=int, default=15, help="new functions of each language and kind of start (15)")
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 1 s, 500 serial, 300 events, 3 cold: does it work at all?"
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.serial, options.events = 2, 1.0, 500, 300
        options.cold = 3
    return options


if __name__ == "__main__":
    sys.exit(execute(run, parsed()))
