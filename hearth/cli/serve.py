"""`hearth serve`: one service in the foreground, what `hearth up` starts and what a service manager can run."""

from __future__ import annotations

import asyncio
import os
import sys

import orjson
import typer

from hearth import log, service
from hearth.cli.console import fail, load_settings, talk
from hearth.cli.logview import LogView
from hearth.cli.stack import Stack
from hearth.embedded.process import StartFailed
from hearth.embedded.servers import Servers
from hearth.embedded.stackfile import AlreadyRunning, Running, StackFile
from hearth.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Run one service in the foreground (what `hearth up` starts).")


@app.command()
def gateway() -> None:
    """Run the API.

    Example: HEARTH_BROKER_URL=amqp://... HEARTH_STATE_URL=redis://... hearth serve gateway
    """
    from gateway.serve import main

    main(_settings())


@app.command()
def fleet() -> None:
    """Run this host's workers.

    Example: HEARTH_WORKERS=2 hearth serve fleet
    """
    from workers.fleet import main

    main(_settings())


@app.command()
def poller() -> None:
    """Run the dispatcher of asynchronous invocations. Several share the work.

    Example: HEARTH_BROKER_URL=amqp://... HEARTH_STATE_URL=redis://... hearth serve poller
    """
    from pollers.service import main

    main(_settings())


@app.command()
def orchestrator() -> None:
    """Run the executions of workflows. Several share the work.

    Example: HEARTH_BROKER_URL=amqp://... HEARTH_STATE_URL=redis://... hearth serve orchestrator
    """
    from orchestrator.service import main

    main(_settings())


@app.command()
def servers() -> None:
    """Run only the embedded RabbitMQ and Valkey; once they are ready their URLs are printed as one line of JSON.

    Example: HEARTH_DATA=/tmp/servers hearth serve servers
    """
    settings = load_settings()
    log.configure(settings)
    record = StackFile(settings.data)
    try:
        record.acquire()
        service.run(lambda stopping: _serve_servers(settings, record, stopping))
    except (AlreadyRunning, StartFailed) as exc:
        fail(str(exc))
    finally:
        record.release()


async def _serve_servers(settings: Settings, record: StackFile, stopping: asyncio.Event) -> None:
    view = LogView(talk)
    own = Servers(settings, record, view.line)
    async with Stack(record, settings.drain_seconds, view.say) as stack:
        for unit in [*own.broker, *own.stores]:
            await stack.start(unit)
        resolved = own.resolved()
        urls = {name: getattr(resolved, name) or "" for name in ("broker_url", "state_url", "coordination_url")}
        record.running = Running(pid=os.getpid(), endpoint="", ready=True, processes=stack.pids(), **urls)
        record.save()
        sys.stdout.write(orjson.dumps(urls).decode() + "\n")
        sys.stdout.flush()
        await stopping.wait()


def _settings() -> Settings:
    """Those of a service: its servers must be named, `hearth up` does it for its own."""
    settings = load_settings()
    absent = [
        f"HEARTH_{name.upper()}"
        for name in ("broker_url", "state_url", "coordination_url")
        if getattr(settings, name) is None
    ]
    if absent:
        fail(f"{', '.join(absent)} not set.", advice="`hearth up` starts servers of its own and sets them.", code=2)
    log.configure(settings)
    return settings
