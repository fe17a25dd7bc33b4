"""worker, workers: this host's workers for a platform whose gateway runs on another host, and all that there are."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.embedded import stackfile
from hearth.settings import Settings

_FIGURES = ("sandboxes", "busy", "waiting", "cold_starts", "invocations", "errors")

_PIPED_WIDTH = 200


def worker(
    broker: Annotated[str | None, typer.Option(help="amqp:// URL of the platform's RabbitMQ.")] = None,
    state: Annotated[str | None, typer.Option(help="redis:// URL of its durable server.")] = None,
    coordination: Annotated[
        str | None, typer.Option(help="redis:// URL of its server for leases (default: as its gateway told in state).")
    ] = None,
    gateway: Annotated[
        str | None, typer.Option(help="http:// URL of its API (default: as the gateway told in state).")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Fewest worker processes; the load adds more.")] = None,
) -> None:
    """Let this host run functions of a platform whose gateway is elsewhere, until Ctrl-C. No shared disk is needed.

    Example: hearth worker --broker amqp://hearth:...@head:5672/hearth --state redis://:...@head:6379/0
    """
    given = {
        "broker_url": broker,
        "state_url": state,
        "coordination_url": coordination,
        "gateway_url": gateway,
        "workers": workers,
    }
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    absent = [option for option in ("broker", "state") if getattr(settings, f"{option}_url") is None]
    if absent:
        fail(f"--{' and --'.join(absent)} must be given.", advice="They are the servers of the gateway's host.", code=2)
    settings = asyncio.run(_joined(settings))
    os.environ |= settings.to_environ()  # the workers' settings
    from workers.fleet import main

    main(settings)


async def _joined(settings: Settings) -> Settings:
    """With coordination and gateway as the platform's gateway has told, where they are not given."""
    from hearth.errors import Unavailable
    from hearth.store import Store, platform

    assert settings.state_url is not None
    store = Store("state", settings.state_url)
    try:
        found = await platform.find(store)
    except Unavailable as exc:
        fail(f"The platform can't be asked: {exc}", advice="Is --state right, and reachable from here?")
    finally:
        await store.close()
    told: dict[str, Any] = {}
    if found is not None:
        told = {"coordination_url": found.coordination_url, "function_port": found.function_port}
        if not settings.code_url:  # else packages and logs are in a directory that both hosts have
            told["gateway_url"] = found.gateway_url
    update = {name: value for name, value in told.items() if value and getattr(settings, name) is None}
    settings = settings.model_copy(update=update)
    if settings.coordination_url is None:
        fail("No gateway has run on this state yet.", advice="Start it first, or give --coordination and --gateway.")
    if settings.gateway_url is None and settings.code_url is None:
        advice = "Set HEARTH_BIND on its host to an address of its own, or give --gateway."
        fail("The platform's gateway listens on its host's loopback only.", advice=advice)
    return settings


def workers(json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False) -> None:
    """List the workers of all hosts with what they do.

    Example: hearth workers --json
    """
    settings = load_settings()
    found = asyncio.run(living(settings, stackfile.live(settings.data)))
    if json:
        print_json(found)
        return
    if not found:
        talk.print("No worker is heard of.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("host", "worker", "pid", "room", *_FIGURES):
        table.add_column(column.replace("_", " "), no_wrap=True)
    for name, figures in sorted(found.items(), key=lambda one: (one[1].get("host", ""), one[0])):
        shown = f"{name} (drains)" if figures.get("draining") == "1" else name
        counts = [figures.get(figure, "") for figure in _FIGURES]
        table.add_row(figures.get("host", ""), shown, figures.get("pid", ""), figures.get("capacity", ""), *counts)
    # piped output has no width of its own, and programs want whole names
    (out if out.is_terminal else Console(width=_PIPED_WIDTH)).print(table)


async def living(settings: Settings, running: stackfile.Running | None) -> dict[str, dict[str, str]]:
    """Worker id -> its figures; none if coordination does not answer."""
    from hearth.errors import Unavailable
    from hearth.store import Store
    from hearth.store import workers as register

    url = settings.coordination_url or (running.coordination_url if running else None)
    if url is None:
        return {}
    store = Store("coordination", url)
    try:
        return await register.living(store)
    except Unavailable:
        return {}
    finally:
        await store.close()
