"""A subscription as its PUT asks for it: checked, with AWS's defaults. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

CATEGORIES = ("platform", "function", "extension")
_HOSTS = ("sandbox.localdomain", "sandbox")
_RUNTIME_API_PORT = 9001
#: name -> (least, most, default)
_BUFFERING = {
    "maxItems": (1000, 10_000, 10_000),
    "maxBytes": (262_144, 1_048_576, 262_144),
    "timeoutMs": (25, 30_000, 1000),
}
_SCHEMAS = ("2022-07-01", "2022-12-13", "2025-01-29")
_LEGACY_SCHEMAS = ("2020-08-15", "2021-03-18")


class BadSubscription(Exception):
    """The text names everything that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """protocol HTTP: events are POSTed to `path` as JSON arrays; TCP: newline-delimited. legacy: the Logs API."""

    categories: frozenset[str]
    protocol: str
    port: int
    path: str
    max_items: int
    max_bytes: int
    timeout_ms: int
    legacy: bool = False


def parse(body: bytes, *, legacy: bool) -> Subscription:
    """Raises BadSubscription."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise BadSubscription(str(exc)) from exc
    if not isinstance(given, dict):
        raise BadSubscription("the body is not a JSON object")
    problems: list[str] = []
    protocol, port, path = _destination(given.get("destination"), problems)
    categories = _categories(given.get("types"), problems)
    buffering = _buffering(given.get("buffering"), problems)
    schema = given.get("schemaVersion")
    if schema not in (None, *(_LEGACY_SCHEMAS if legacy else _SCHEMAS)):
        problems.append(f"schemaVersion {schema} is not supported")
    if problems:
        raise BadSubscription("; ".join(problems))
    return Subscription(categories, protocol, port, path, *buffering, legacy=legacy)


def _destination(given: Any, problems: list[str]) -> tuple[str, int, str]:
    if not isinstance(given, dict):
        problems.append("destination is not provided")
        return "", 0, ""
    protocol = str(given.get("protocol", "")).upper()
    if protocol == "TCP":
        port, path = given.get("port"), ""
        if not isinstance(port, int) or not 1 <= port <= 65_535:
            problems.append("port should be between 1 and 65535")
            port = 0
    elif protocol == "HTTP":
        port, path = _uri(str(given.get("URI") or given.get("uri") or ""), problems)
    else:
        problems.append("protocol should be HTTP or TCP")
        return "", 0, ""
    if port == _RUNTIME_API_PORT:
        problems.append(f"port {port} is reserved")
    return protocol, port, path


def _uri(text: str, problems: list[str]) -> tuple[int, str]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        problems.append(f"URI is not valid: {exc}")
        return 0, ""
    if parts.scheme != "http":
        problems.append("URI scheme should be http")
    if parts.hostname not in _HOSTS:
        problems.append(f"URI host should be {_HOSTS[0]}")
    if not port:
        problems.append("URI port is not provided")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(character.isspace() for character in path):
        problems.append("URI path is not valid")
    return port or 0, path


def _categories(given: Any, problems: list[str]) -> frozenset[str]:
    if not isinstance(given, list) or not given:
        problems.append("types should not be empty")
        return frozenset()
    if unknown := [str(one) for one in given if one not in CATEGORIES]:
        problems.append(f"types should not contain {', '.join(unknown)}")
    return frozenset(one for one in given if one in CATEGORIES)


def _buffering(given: Any, problems: list[str]) -> tuple[int, int, int]:
    given = given if isinstance(given, dict) else {}
    values = []
    for name, (least, most, default) in _BUFFERING.items():
        value = given.get(name, default)
        if not isinstance(value, int) or not least <= value <= most:
            problems.append(f"{name} should be between {least} and {most}")
        values.append(value)
    return values[0], values[1], values[2]
