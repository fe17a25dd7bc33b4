"""up, down, status: the platform of a data folder as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.cli.detach import detach
from hearth.cli.endpoint import access
from hearth.cli.health import health
from hearth.cli.worker import living
from hearth.embedded import stackfile
from hearth.embedded.stackfile import AlreadyRunning, Running, StackFile
from hearth.settings import Settings

#: longer than every grace period of a stop together
_DOWN_S = 120.0


def up(
    detached: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is ready; `hearth down` stops it.")
    ] = False,
    companion: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="SERVICES",
            help="Also start a companion server (moto) for these: s3,sqs,sns,dynamodb,events,ssm,secretsmanager.",
        ),
    ] = "",
) -> None:
    """Start everything, deploy and invoke an example, then show one log until Ctrl-C.

    Example: hearth up --detach --with s3,sqs && hearth invoke hello
    """
    from hearth.cli.up import Up

    settings = load_settings()
    record = StackFile(settings.data)
    try:
        record.acquire()
    except AlreadyRunning as exc:
        fail(str(exc), advice="`hearth status` shows it, `hearth down` stops it; HEARTH_DATA names another folder.")
    log = detach(settings, record) if detached else None
    console = Console(highlight=False, soft_wrap=True) if log is None else log.console
    try:
        status = asyncio.run(Up(settings, record, console, log.path if log else None, companion).run())
    finally:
        record.release()
    raise typer.Exit(status)


def down() -> None:
    """Stop the platform of this data folder, in order; functions and their data are kept.

    Example: hearth down
    """
    settings = load_settings()
    running = stackfile.live(settings.data)
    if running is None:
        talk.print(f"Nothing runs on {settings.data}.")
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    with talk.status(f"stopping (pid {running.pid})"):
        until_s = time.monotonic() + _DOWN_S
        while stackfile.live(settings.data) is not None:
            if time.monotonic() > until_s:
                fail(f"It still runs (pid {running.pid}).", advice=f"A second signal ends it: kill {running.pid}")
            time.sleep(0.1)
    talk.print("stopped")


def status(json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False) -> None:
    """Show processes, servers, workers, sandboxes, isolation and functions; exit status 1 if it is not ready.

    Example: hearth status --json
    """
    settings = load_settings()
    found = asyncio.run(_gather(settings, stackfile.live(settings.data)))
    if json:
        print_json(found)
    else:
        _print_status(found)
    if found["status"] != "ready":
        raise typer.Exit(1)


async def _gather(settings: Settings, running: Running | None) -> dict[str, Any]:
    where = access(settings)
    answer = await health(where.endpoint)
    found: dict[str, Any] = {
        "status": "stopped" if answer is None else str(answer[1].get("status", "not ready")),
        "endpoint": where.endpoint,
        "data": str(settings.data),
        "pid": running.pid if running else None,
        "log": running.log if running else None,
        "processes": running.processes if running else {},
        "health": answer[1] if answer else {},
        "workers": await living(settings, running),
        "functions": [],
    }
    if answer is not None:
        from hearth.cli.client import ApiFailed, Client

        with contextlib.suppress(ApiFailed):
            functions = await asyncio.to_thread(Client(where).functions)
            found["functions"] = [one["FunctionName"] for one in functions]
    return found


def _print_status(found: dict[str, Any]) -> None:
    out.print(f"{found['status']}  {found['endpoint']}", style="bold")
    if found["status"] == "stopped":
        out.print("start it: hearth up")
        return
    out.print(f"data       {found['data']}" + (f"  (log: {found['log']})" if found["log"] else ""))
    pids = {"hearth up": found["pid"], **found["processes"]} if found["pid"] else {}
    if pids:
        out.print("processes  " + ", ".join(f"{name} {pid}" for name, pid in pids.items()))
    health_page = dict(found["health"])
    services = health_page.pop("services", {})
    out.print("health     " + ", ".join(f"{name} {value}" for name, value in health_page.items()))
    for server in dict.fromkeys(services.values()):
        names = ", ".join(name for name, one in services.items() if one == server)
        out.print(f"services   {names}: {server}", markup=False)
    for worker, figures in found["workers"].items():
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        out.print(f"worker     {worker}: {told}", markup=False)
    out.print(f"functions  {len(found['functions'])}: {', '.join(found['functions'][:20])}", markup=False)


def env() -> None:
    """Print the environment that points AWS's tools at the platform.

    Example: eval "$(hearth env)" && aws lambda list-functions
    """
    import shlex

    from hearth.cli.endpoint import exports

    for name, value in exports(access(load_settings())).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
