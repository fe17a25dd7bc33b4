"""The front doors together: from a request that is for one of them to its answer."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from gateway import metrics
from gateway.front_doors import function_url
from gateway.front_doors.addresses import api_host, url_host
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.entry import Entry, Kind
from gateway.front_doors.response import json_answer
from gateway.http import Answer, Request
from hearth.clock import now_ms
from hearth.errors import HearthError

if TYPE_CHECKING:
    from gateway.backends import Backends

log = logging.getLogger(__name__)

#: more than any door takes is not read into memory
MAX_BODY_BYTES = 10 * 2**20


async def answer(
    backends: Backends | None, entry: Entry, scope: dict[str, Any], request: Request, request_id: str
) -> Answer:
    """request: with its body. request_id: of the answer, and of the function behind a URL."""
    started_s = time.perf_counter()
    try:
        given = await _answer(backends, entry, scope, request, request_id)
    except HearthError as exc:
        log.warning("a front door could not answer", extra={"action": "door_unavailable", "error": str(exc)})
        given = json_answer(503, {"message": "Service Unavailable"})
    except Exception:
        log.exception("a front door failed", extra={"action": "door_failed", "door": entry.id})
        given = json_answer(500, {"message": "Internal Server Error"})
    metrics.observe(entry.kind.value, "request", given.status, time.perf_counter() - started_s)
    return given


async def _answer(
    backends: Backends | None, entry: Entry, scope: dict[str, Any], request: Request, request_id: str
) -> Answer:
    if backends is None:
        return json_answer(503, {"message": "Service Unavailable"})
    if entry.kind is Kind.URL:
        owner = await backends.url_owners.get(entry.id)
        if owner is None:
            return function_url.refused(None)
        host = request.headers["host"] if entry.by_host else url_host(backends.settings, entry.id, owner.region)
        seen = DoorRequest.read(scope, request, entry, host=host, request_id=request_id, now_ms=now_ms())
        return await function_url.serve(backends, owner, entry.id, seen)
    api = await backends.doors.get(entry.id)
    if api is None:
        return json_answer(404, {"message": "Not Found"})
    host = request.headers["host"] if entry.by_host else api_host(backends.settings, entry.id, api.region)
    seen = DoorRequest.read(scope, request, entry, host=host, request_id=request_id, now_ms=now_ms())
    return await api.serve(backends, seen)
