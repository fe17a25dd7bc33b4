"""The private servers and the platform that a benchmark measures, on data of their own below build/bench."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.command import say
from bench.hearth_platform import Platform
from hearth.embedded.process import OnLine
from hearth.embedded.servers import Servers
from hearth.embedded.stackfile import StackFile
from hearth.settings import Settings
from workers.runtimes import prepare

DATA = Path(__file__).resolve().parent.parent / "build" / "bench"
LOG = DATA / "bench.log"
#: stay from run to run: preparing runtimes takes long and changes nothing; the log is for afterwards
_KEPT = ("runtimes", "run", LOG.name)
_SERVER_GRACE_S = 20.0


@dataclass(frozen=True, slots=True)
class BenchServers:
    """pids: of broker and stores, by name. settings: with their addresses."""

    settings: Settings
    pids: dict[str, int]
    on_line: OnLine


async def start_servers(
    stack: AsyncExitStack, *, max_sandboxes: int, data: Path = DATA, **more: object
) -> BenchServers:
    """Broker, stores and prepared runtimes, which end with `stack`. Raises AlreadyRunning, StartFailed.

    data: where their files are, for more than one of them at once. more: settings by name.
    """
    record = StackFile(data)
    record.acquire()
    stack.callback(record.release)
    _clear(data)
    stack.callback(_clear, data)
    log = stack.enter_context((data / LOG.name).open("w", buffering=1))

    def on_line(name: str, line: str) -> None:
        log.write(f"{name} {line}\n")

    settings = Settings.load(
        data=data,
        port=record.port("api"),
        function_port=record.port("functions"),
        workers=1,
        max_workers=1,
        gateway_processes=1,
        max_sandboxes=max_sandboxes,
        idle_seconds=3600.0,
        **more,
    )
    servers = Servers(settings, record, on_line)
    units = [*servers.broker, *servers.stores]
    for unit in units:
        say(f"starting {unit.name}")
        await unit.start()
        stack.push_async_callback(unit.stop, _SERVER_GRACE_S)
    settings = servers.resolved()
    say("preparing runtimes")
    await prepare(settings, say)
    return BenchServers(settings, {unit.name: unit.pid for unit in units if unit.pid is not None}, on_line)


async def start_platform(stack: AsyncExitStack, servers: BenchServers) -> Platform:
    say("starting the platform")
    return await stack.enter_async_context(Platform(servers.settings, servers.on_line))


def _clear(data: Path) -> None:
    """Each run begins with empty servers and leaves nothing behind but what is dear to make."""
    for path in data.iterdir():
        if path.name not in _KEPT:
            shutil.rmtree(path)
