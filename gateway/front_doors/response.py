"""What a function's answer becomes, and the parts that every payload format has in common. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.http import Answer, ByteStream

#: written by the gateway itself, or of the connection
_OWN = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: the server refuses to send them, and would then send nothing at all
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_BODY = (204, 304)


class BadResponse(Exception):
    """The function's answer isn't in the format that its integration demands."""


@dataclass(slots=True)
class HttpResponse:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def answer(self, stream: ByteStream | None = None) -> Answer:
        """Raises BadResponse if a header could not be one."""
        sent = []
        for name, value in self.headers:
            if not _NAME.fullmatch(name) or _CONTROLS.search(value):
                raise BadResponse(f"header {name!r}")
            if name.lower() not in _OWN:
                sent.append((name.encode("latin-1"), value.encode("utf-8")))
        return Answer(self.status, b"" if self.status in _NO_BODY else self.body, sent, stream)


def json_answer(status: int, body: dict[str, Any], *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, orjson.dumps(body), [(b"content-type", b"application/json"), *headers])


def status_of(value: dict[str, Any]) -> int:
    """Raises BadResponse."""
    given = value.get("statusCode", 200)
    try:
        status = int(given) if not isinstance(given, bool) else 0
    except (TypeError, ValueError) as exc:
        raise BadResponse(f"statusCode {given!r}") from exc
    if not 200 <= status <= 599:
        raise BadResponse(f"statusCode {status}")
    return status


def body_of(value: dict[str, Any]) -> bytes:
    """The body of a response object, decoded if it says so. Raises BadResponse."""
    body = value.get("body")
    if body is None:
        return b""
    if value.get("isBase64Encoded") is True:
        try:
            return base64.b64decode(str(body), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise BadResponse("the body is not base64") from exc
    return plain(body).encode()


def plain(value: Any) -> str:
    """A string as it is, anything else as JSON: true, 3, {"a":1}."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
