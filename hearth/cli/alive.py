"""`hearth alive`: the health check of one service on this host, for containers and service managers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from hearth.cli.console import fail, load_settings
from hearth.cli.endpoint import endpoint_of
from hearth.cli.health import health
from hearth.errors import Unavailable
from hearth.settings import Settings
from hearth.store import Store, keys, leases, workers

#: shorter than what the callers of health checks wait
_ASK_S = 8.0


class Service(StrEnum):
    gateway = "gateway"
    fleet = "fleet"
    poller = "poller"
    orchestrator = "orchestrator"


_GROUPS = {Service.poller: keys.POLLERS, Service.orchestrator: keys.ORCHESTRATORS}


def alive(service: Annotated[Service, typer.Argument(help="Which service of this host.")]) -> None:
    """Say whether a service of this host is at work; exit status 1 if it is not.

    gateway: it answers and has its servers (workers or not). The others: their heartbeat is current.

    Example: HEARTH_COORDINATION_URL=redis://... hearth alive fleet
    """
    settings = load_settings()
    if service is not Service.gateway and settings.coordination_url is None:
        fail("HEARTH_COORDINATION_URL not set.", code=2)
    problem = asyncio.run(_problem(settings, service))
    if problem:
        fail(problem)


async def _problem(settings: Settings, service: Service) -> str:
    """Empty: it is at work."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await (_gateway(settings) if service is Service.gateway else _heartbeat(settings, service))
    except TimeoutError:
        return f"No answer in {_ASK_S:.0f} s."


async def _gateway(settings: Settings) -> str:
    where = endpoint_of(settings)
    answer = await health(where)
    if answer is None:
        return f"No gateway answers at {where}."
    away = [f"{name}: {answer[1].get(name)}" for name in ("broker", "state") if answer[1].get(name) != "ok"]
    return ", ".join(away)


async def _heartbeat(settings: Settings, service: Service) -> str:
    """Ids of workers, pollers and orchestrators begin with their host's name."""
    assert settings.coordination_url is not None
    store = Store("coordination", settings.coordination_url)
    try:
        if service is Service.fleet:
            living: Iterable[str] = await workers.living(store)
        else:
            living = await leases.members(store, _GROUPS[service])
    except Unavailable as exc:
        return str(exc)
    finally:
        await store.close()
    here = socket.gethostname()
    return "" if any(one.startswith(f"{here}-") for one in living) else f"No {service} of {here} gives a heartbeat."
