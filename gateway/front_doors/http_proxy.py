"""HTTP_PROXY integrations: the request goes on to an HTTP server, the answer comes back, both whole."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import urllib3

from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.outbound import Unreachable, open_pool
from gateway.front_doors.response import HttpResponse

MAX_ANSWER_BYTES = 10 * 2**20
_HOP = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_LABEL = re.compile(r"\{([\w.-]+)\+?\}")
_VARIABLE = re.compile(r"\$\{stageVariables\.(\w+)\}")
_threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="http-proxy")


class TimedOut(Exception):
    pass


def filled(uri: str, parameters: Mapping[str, str], variables: Mapping[str, str]) -> str:
    """An integration's URI with the path's variables and the stage's."""
    text = _VARIABLE.sub(lambda found: variables.get(found[1], ""), uri)
    return _LABEL.sub(lambda found: quote(parameters.get(found[1], ""), safe="/"), text)


async def forward(
    request: DoorRequest, url: str, *, method: str, timeout_s: float, allowed: str | None
) -> HttpResponse:
    """allowed: HEARTH_EGRESS_ALLOW. Raises Unreachable, TimedOut."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            return await loop.run_in_executor(_threads, _forward, request, url, method, timeout_s, allowed)
    except TimeoutError as exc:
        raise TimedOut(url) from exc


def _forward(request: DoorRequest, url: str, method: str, timeout_s: float, allowed: str | None) -> HttpResponse:
    pool, target = open_pool(url, allowed, timeout_s)
    headers = urllib3.HTTPHeaderDict()
    for name, value in request.headers:
        if name not in _HOP:
            headers.add(name, value)
    headers["host"] = target.netloc.rpartition("@")[2]
    query = "&".join(filter(None, (target.query, request.query)))
    path = f"{target.path or '/'}?{query}" if query else target.path or "/"
    with pool:
        try:
            answer = pool.urlopen(
                method,
                path,
                body=request.body or None,
                headers=headers,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            body = answer.read(MAX_ANSWER_BYTES, decode_content=False)
        except urllib3.exceptions.TimeoutError as exc:
            raise TimedOut(url) from exc
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise Unreachable(f"{url}: {exc}") from exc
    kept = [(name.lower(), value) for name, value in answer.headers.items() if name.lower() not in _HOP]
    return HttpResponse(answer.status, kept, body)
