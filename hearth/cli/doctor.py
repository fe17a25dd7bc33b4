"""`hearth doctor`: what this host gives Hearth, what each finding means, and the one command that mends it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from hearth.cli.console import load_settings, out, print_json
from hearth.embedded import packages, stackfile
from hearth.embedded.rabbitmq import server_script
from hearth.errors import HearthError
from hearth.settings import Settings

if TYPE_CHECKING:
    from workers.host import Finding

_MARKS = {"ok": ("✓", "green"), "degraded": ("!", "yellow"), "missing": ("✗", "bold red")}
#: the finding that sums isolation up
_LEVEL = "isolation level"
#: the embedded servers' files and the functions' code need room
_LEAST_FREE_MB = 500


def findings(settings: Settings) -> list[Finding]:
    """Everything, by trying it. Blocks for a second or so; not for the event loop's thread."""
    return [*problems(settings), *asyncio.run(_servers(settings))]


def problems(settings: Settings) -> list[Finding]:
    """The same without the servers, which `hearth up` is about to start."""
    from workers.host import probe  # not at the top: it would slow every command down

    return [*probe(settings), _disk(settings), _overcommit()]


def summary(found: list[Finding]) -> str:
    """One line: the isolation level with what it lacks, and how much else is amiss."""
    level = next((finding.detail for finding in found if finding.name == _LEVEL), "unknown")
    amiss = [finding.name for finding in found if finding.status != "ok" and finding.name != _LEVEL]
    return f"isolation {level}" + (f" See `hearth doctor`: {', '.join(amiss)}." if amiss else "")


def refusal(found: list[Finding]) -> str:
    """Why functions can't run as the settings want it; empty if they can."""
    for one in found:
        if one.name == _LEVEL and one.status == "missing":
            return f"{one.meaning} {one.detail}" + (f"\nTry: {one.remedy}" if one.remedy else "")
    return ""


def doctor(json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False) -> None:
    """Say what this host lacks and how to mend it; exit status 1 if something needed is missing.

    Example: hearth doctor
    """
    found = findings(load_settings())
    if json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            _print(one)
    if any(one.status == "missing" for one in found):
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    mark, style = _MARKS[finding.status]
    detail = f"  {finding.detail}" if finding.detail else ""
    out.print(Text.assemble((mark, style), f" {finding.name}", (detail, "dim")))
    if finding.status != "ok":
        out.print(f"    {finding.meaning}", markup=False)
        if finding.remedy:
            out.print(Text.assemble("    mend it: ", (finding.remedy, "bold")))


def _finding(
    name: str, status: Literal["ok", "degraded", "missing"], meaning: str, remedy: str, detail: str
) -> Finding:
    from workers.host import Finding

    return Finding(name=name, status=status, meaning=meaning, remedy=remedy, detail=detail)


def _disk(settings: Settings) -> Finding:
    folder = settings.data
    while not folder.exists():
        folder = folder.parent
    free_mb = shutil.disk_usage(folder).free // 2**20
    return _finding(
        name="disk",
        status="ok" if free_mb >= _LEAST_FREE_MB else "degraded",
        meaning=f"Fewer than {_LEAST_FREE_MB} MB are free for code, logs and the servers' data.",
        remedy="export HEARTH_DATA=/a/folder/with/room",
        detail=f"{free_mb} MB free for {settings.data}",
    )


def _overcommit() -> Finding:
    mode = Path("/proc/sys/vm/overcommit_memory").read_text().strip()
    return _finding(
        name="memory overcommit",
        status="ok" if mode == "1" else "degraded",
        meaning="The state server forks to compact its file; when memory is nearly full the kernel may refuse that.",
        remedy="sudo sysctl vm.overcommit_memory=1",
        detail=f"vm.overcommit_memory={mode}",
    )


async def _servers(settings: Settings) -> list[Finding]:
    """Those that are configured or run now are asked; else whether they could be started."""
    running = stackfile.live(settings.data)
    broker = settings.broker_url or (running.broker_url if running else None)
    state = settings.state_url or (running.state_url if running else None)
    coordination = settings.coordination_url or (running.coordination_url if running else None)
    found = [await _asked_broker(broker) if broker else _own_broker(settings)]
    found += [await _asked_store("state", "HEARTH_STATE_URL", state)] if state else []
    found += [await _asked_store("coordination", "HEARTH_COORDINATION_URL", coordination)] if coordination else []
    return found


def _own_broker(settings: Settings) -> Finding:
    script = server_script()
    installable = packages.can_install()
    return _finding(
        name="broker",
        status="ok" if script else "degraded" if installable else "missing",
        meaning="RabbitMQ is not installed"
        + (" yet; `hearth up` installs it." if installable else ", and HEARTH_BROKER_URL names no other."),
        remedy="sudo apt-get install rabbitmq-server",
        detail=f"own node from {script}" if script else "",
    )


async def _asked_broker(url: str) -> Finding:
    from hearth.broker.connection import Broker

    problem = ""
    try:
        async with asyncio.timeout(10.0):
            broker = await Broker.connect(url, name="doctor")
            with contextlib.suppress(HearthError):
                await broker.close()
    except (HearthError, OSError, TimeoutError, ValueError) as exc:
        problem = str(exc) or "no answer within 10 s"
    return _finding(
        name="broker",
        status="missing" if problem else "ok",
        meaning="RabbitMQ does not answer, so no function can run.",
        remedy="export HEARTH_BROKER_URL=amqp://user:password@host:5672/vhost",
        detail=problem or f"RabbitMQ at {_without_secret(url)}",
    )


async def _asked_store(role: str, variable: str, url: str) -> Finding:
    from hearth.store import Store

    store = Store(role, url)
    try:
        alive = await store.alive()
    finally:
        await store.close()
    return _finding(
        name=role,
        status="ok" if alive else "missing",
        meaning=f"The server for {role} does not answer.",
        remedy=f"export {variable}=redis://:password@host:6379/0",
        detail=f"{'answers' if alive else 'no answer'} at {_without_secret(url)}",
    )


def _without_secret(url: str) -> str:
    """scheme://host:port/path"""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
