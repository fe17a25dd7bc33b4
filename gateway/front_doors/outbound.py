"""HTTP from the gateway to servers that an API names: only to addresses that may be reached for it.

An API may be made by a function, and what functions must not reach, the gateway must not reach for them: private
addresses are refused unless they are allowed by name.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import SplitResult, urlsplit

import urllib3


class Unreachable(Exception):
    """The server could not be asked, or may not be."""


def open_pool(url: str, allowed: str | None, timeout_s: float) -> tuple[urllib3.HTTPConnectionPool, SplitResult]:
    """Connections to a URL's server. allowed: addresses and networks, by comma. Raises Unreachable.

    The very address that was checked is connected to: a name may mean another one the next time.
    """
    try:
        target = urlsplit(url)
        host, port = target.hostname, target.port or (443 if target.scheme == "https" else 80)
    except ValueError as exc:
        raise Unreachable(f"{url} is not a URL") from exc
    if target.scheme not in ("http", "https") or not host:
        raise Unreachable(f"{url} is not the URL of an HTTP server")
    address = _reachable_address(host, port, allowed)
    options: dict[str, Any] = {"timeout": timeout_s, "retries": False, "maxsize": 1}
    if target.scheme == "https":
        return urllib3.HTTPSConnectionPool(address, port, server_hostname=host, assert_hostname=host, **options), target
    return urllib3.HTTPConnectionPool(address, port, **options), target


def _reachable_address(host: str, port: int, allowed: str | None) -> str:
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
