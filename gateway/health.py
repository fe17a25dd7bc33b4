"""Is it up: `/health` for people, `/health/gateway` for balancers, `/_localstack/health` for tools of LocalStack's."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

import hearth
from gateway.backends import Backends, living_workers
from gateway.http import Answer
from gateway.protocols.rest_json import JSON
from hearth.aws_endpoints import RUN_HERE
from hearth.errors import Unavailable
from hearth.store import Store, keys, leases

_ASK_S = 2.0
_LOCALSTACK_NAMES = {"states": "stepfunctions"}
_LEVELS = ("", "full", "reduced", "process")


async def health(backends: Backends | None) -> Answer:
    """200 only if the broker, `state` and at least one worker answer. `services`: who serves what."""
    found = await _look(backends)
    ready = found["broker"] == found["state"] == found["coordination"] == "ok" and found["workers"] > 0
    body = {"status": "ready" if ready else _why_not(found), **found, "version": hearth.__version__}
    if backends is not None:
        body["services"] = backends.aws.endpoints.table()
    return Answer(200 if ready else 503, orjson.dumps(body), [JSON])


def gateway_health(*, leaving: bool) -> Answer:
    """Whether to send requests here. Asks nobody: servers that are away or slow are so for every gateway alike.

    404, not 503, is what HAProxy's `http-check disable-on-404` takes as a farewell, at the first time it sees it.
    """
    status, word = (404, "leaving") if leaving else (200, "serving")
    return Answer(status, orjson.dumps({"status": word}), [JSON])


async def localstack_health(backends: Backends | None) -> Answer:
    found = await _look(backends)
    up = found["broker"] == found["state"] == "ok"
    state = "running" if up else "starting"
    here = RUN_HERE if backends is None else backends.aws.endpoints.here
    services = {_LOCALSTACK_NAMES.get(name, name): state for name in sorted(here)}
    if backends is not None:
        services |= {name: "available" for name in backends.aws.endpoints.table() if name not in (*here, "*")}
    body = {"services": services, "edition": "hearth", "version": hearth.__version__}
    return Answer(200, orjson.dumps(body), [JSON])


def _why_not(found: dict[str, Any]) -> str:
    if found["broker"] == "starting":
        return "starting"
    away = [name for name in ("broker", "state", "coordination") if found[name] != "ok"]
    return f"{' and '.join(away)} away" if away else "no worker"


async def _look(backends: Backends | None) -> dict[str, Any]:
    if backends is None:
        return {
            "broker": "starting",
            "state": "starting",
            "coordination": "starting",
            "workers": 0,
            "pollers": 0,
            "orchestrators": 0,
            "isolation": "none",
        }
    stores = backends.stores
    state, coordination, workers, pollers, orchestrators = await asyncio.gather(
        _answers(stores.state.alive()),
        _answers(stores.coordination.alive()),
        living_workers(stores.coordination),
        _members(stores.coordination, keys.POLLERS),
        _members(stores.coordination, keys.ORCHESTRATORS),
    )
    return {
        "broker": "ok" if backends.broker.alive else "away",
        "state": "ok" if state else "away",
        "coordination": "ok" if coordination else "away",
        "workers": len(workers),
        "pollers": pollers,
        "orchestrators": orchestrators,
        # the lowest level that a worker runs with: what a function may rely on
        "isolation": max((one.get("isolation", "") for one in workers.values()), key=_LEVELS.index, default="none"),
    }


async def _members(coordination: Store, group: str) -> int:
    """How many live; 0 if `coordination` doesn't answer."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await leases.living(coordination, group)
    except (Unavailable, TimeoutError):
        return 0


async def _answers(ping: Any) -> bool:
    try:
        async with asyncio.timeout(_ASK_S):
            return bool(await ping)
    except TimeoutError:
        return False
