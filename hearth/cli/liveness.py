"""Whether a service of this host is at work.

Containers ask every few seconds, so nothing is imported that can be spared.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from enum import StrEnum

from hearth.cli.health import endpoint_at, health
from hearth.written_settings import DEFAULT_BIND, DEFAULT_PORT, written

#: shorter than what the callers of health checks wait
_ASK_S = 8.0


class Service(StrEnum):
    gateway = "gateway"
    fleet = "fleet"
    poller = "poller"
    orchestrator = "orchestrator"


class NotSet(Exception):
    """A setting that the check needs is missing or can't be read. The text says which."""


def problem(service: Service) -> str:
    """Empty: it is at work. gateway: it answers and has its servers. The others: their heartbeat is current.

    Raises NotSet.
    """
    try:
        if service is Service.gateway:
            return asyncio.run(_in_time(_gateway()))
        url = written("coordination_url")
        if not url:
            raise NotSet("HEARTH_COORDINATION_URL not set.")
        return asyncio.run(_in_time(_heartbeat(service, url)))
    except (OSError, ValueError) as exc:
        raise NotSet(f"settings: {exc}") from exc


async def _in_time(asked: Coroutine[None, None, str]) -> str:
    try:
        async with asyncio.timeout(_ASK_S):
            return await asked
    except TimeoutError:
        return f"No answer in {_ASK_S:.0f} s."


async def _gateway() -> str:
    where = endpoint_at(written("bind") or DEFAULT_BIND, int(written("port") or DEFAULT_PORT))
    answer = await health(where)
    if answer is None:
        return f"No gateway answers at {where}."
    away = [f"{name}: {answer[1].get(name)}" for name in ("broker", "state") if answer[1].get(name) != "ok"]
    return ", ".join(away)


async def _heartbeat(service: Service, url: str) -> str:
    """Ids of workers, pollers and orchestrators begin with their host's name."""
    # redis-py takes longer to load than all the rest
    from hearth.errors import Unavailable
    from hearth.store import Store, keys, leases

    groups = {Service.fleet: keys.WORKERS, Service.poller: keys.POLLERS, Service.orchestrator: keys.ORCHESTRATORS}
    store = Store("coordination", url)
    try:
        living = await leases.members(store, groups[service])
    except Unavailable as exc:
        return str(exc)
    finally:
        await store.close()
    here = socket.gethostname()
    return "" if any(one.startswith(f"{here}-") for one in living) else f"No {service} of {here} gives a heartbeat."
