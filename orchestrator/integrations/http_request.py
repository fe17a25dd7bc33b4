"""What an HTTP task sends: its parameters and its connection's made into one request. Pure.

Source: Step Functions Developer Guide, "Call HTTPS APIs in Step Functions workflows".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import orjson

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
#: headers that a task may not set: those of the connection between two machines, and what authorises
_REFUSED = frozenset(
    {
        "authorization", "connection", "content-md5", "date", "expect", "host", "max-forwards", "proxy-authenticate",
        "server", "te", "transfer-encoding", "trailer", "upgrade", "via", "www-authenticate", "x-forwarded-for",
    }
)  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORM = "application/x-www-form-urlencoded"


class InvalidRequest(ValueError):
    """The parameters make no request; `str()` says why."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    url: str
    headers: dict[str, str]
    body: str | None


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a connection adds. Values are what its secret holds."""

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    body: tuple[tuple[str, str], ...] = ()


def basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def build_request(parameters: dict[str, Any], added: Authorization, region: str) -> HttpRequest:
    """parameters: as evaluated. Raises InvalidRequest."""
    method = parameters.get("Method")
    if method not in METHODS:
        raise InvalidRequest(f"Method must be one of {', '.join(METHODS)}")
    headers = {
        "User-Agent": f"Amazon|StepFunctions|HttpInvoke|{region}",
        "Content-Type": "application/json; charset=UTF-8",
        "Range": "bytes=0-262144",
    }
    headers |= _given_headers(parameters.get("Headers") or {})
    headers |= dict(added.headers)
    body = _body(parameters, headers, added)
    return HttpRequest(method, _url(parameters, added), headers, body)


def _url(parameters: dict[str, Any], added: Authorization) -> str:
    parts = urlsplit(str(parameters.get("ApiEndpoint") or ""))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest("ApiEndpoint must be a URL of http or https")
    query = [part for part in (parts.query, urlencode(_pairs(parameters.get("QueryParameters") or {}))) if part]
    if added.query:
        query.append(urlencode(added.query))
    return urlunsplit(
        (parts.scheme, parts.netloc, quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._"), "&".join(query), "")
    )


def _pairs(given: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, values in given.items() for value in _each(values)]


def _each(values: Any) -> Iterable[Any]:
    return values if isinstance(values, list) else [values]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _given_headers(given: dict[str, Any]) -> dict[str, str]:
    headers = {}
    for name, values in given.items():
        lower = name.lower()
        if lower in _REFUSED or lower.startswith(("x-amz-", "x-amzn-")):
            raise InvalidRequest(f"The header '{name}' is not allowed")
        value = ",".join(_text(one) for one in _each(values))
        if not _TOKEN.fullmatch(name) or any(character in value for character in "\r\n\0"):
            raise InvalidRequest(f"'{name}' is not a valid header")
        shown = {"user-agent": "User-Agent", "content-type": "Content-Type", "range": "Range"}.get(lower, name)
        headers[shown] = value
    return headers


def _body(parameters: dict[str, Any], headers: dict[str, str], added: Authorization) -> str | None:
    body = parameters.get("RequestBody")
    if added.body:
        body = {**(body if isinstance(body, dict) else {}), **dict(added.body)}
    if body is None:
        return None
    transform = parameters.get("Transform") or {}
    if transform.get("RequestBodyEncoding") == "URL_ENCODED" or headers["Content-Type"].startswith(_FORM):
        headers["Content-Type"] = _FORM
        style = (transform.get("RequestEncodingOptions") or {}).get("ArrayFormat", "INDICES")
        return urlencode(list(_flattened(body, "", style)))
    return body if isinstance(body, str) else orjson.dumps(body).decode()


def _flattened(value: Any, name: str, style: str) -> Iterable[tuple[str, str]]:
    """Pairs of a form: members in brackets, arrays as `style` says."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _flattened(member, f"{name}[{key}]" if name else key, style)
    elif isinstance(value, list):
        if style == "COMMAS":
            yield name, ",".join(_text(member) for member in value)
            return
        for index, member in enumerate(value):
            below = {"INDICES": f"{name}[{index}]", "BRACKETS": f"{name}[]"}.get(style, name)
            yield from _flattened(member, below, style)
    else:
        yield name, _text(value)
