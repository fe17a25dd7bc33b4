"""HTTP_PROXY integrations: the request goes on to an HTTP server, the answer comes back, both whole.

An API may be made by a function, and what functions must not reach, an API must not reach for them: private
addresses are refused unless HEARTH_EGRESS_ALLOW names them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.response import HttpResponse

MAX_ANSWER_BYTES = 10 * 2**20
_HOP = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_LABEL = re.compile(r"\{([\w.-]+)\+?\}")
_VARIABLE = re.compile(r"\$\{stageVariables\.(\w+)\}")
_threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="http-proxy")


class Unreachable(Exception):
    """The server could not be asked, or may not be."""


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
    target = urlsplit(url)
    if target.scheme not in ("http", "https") or not target.hostname:
        raise Unreachable(f"{url} is not the URL of an HTTP server")
    port = target.port or (443 if target.scheme == "https" else 80)
    address = _reachable_address(target.hostname, port, allowed)
    headers = urllib3.HTTPHeaderDict()
    for name, value in request.headers:
        if name not in _HOP:
            headers.add(name, value)
    headers["host"] = target.netloc.rpartition("@")[2]
    query = "&".join(filter(None, (target.query, request.query)))
    path = f"{target.path or '/'}?{query}" if query else target.path or "/"
    # The very address that was checked is connected to: a name may mean another one the next time.
    options: dict[str, Any] = {"timeout": timeout_s, "retries": False, "maxsize": 1}
    if target.scheme == "https":
        pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
            address, port, server_hostname=target.hostname, assert_hostname=target.hostname, **options
        )
    else:
        pool = urllib3.HTTPConnectionPool(address, port, **options)
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


def _reachable_address(host: str, port: int, allowed: str | None) -> str:
    """Raises Unreachable."""
    networks = [ipaddress.ip_network(part.strip()) for part in (allowed or "").split(",") if part.strip()]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise Unreachable(f"{host}: {exc}") from exc
    for *_, (text, *_) in found:
        address = ipaddress.ip_address(str(text).partition("%")[0])
        if address.is_global or any(address in network for network in networks if network.version == address.version):
            return str(address)
    raise Unreachable(f"{host} is a private address; HEARTH_EGRESS_ALLOW makes exceptions")
