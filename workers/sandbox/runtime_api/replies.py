"""Prebuilt HTTP answers of the Runtime API."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from workers.sandbox.runtime_api.states import RuntimeState


def _reply(status: str, body: bytes, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def extra(status: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A JSON answer with headers of its own."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def fault(status: str, message: str, error_type: str) -> bytes:
    return _reply(status, orjson.dumps({"errorMessage": message, "errorType": error_type}))


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ACCEPTED = _reply("202 Accepted", b'{"status":"OK"}')
RESTORED = _reply("200 OK", b"")
PONG = _reply("200 OK", b"pong", "text/plain; charset=utf-8")
NOT_FOUND = _reply("404 Not Found", b"404 page not found\n", "text/plain; charset=utf-8")
METHOD_NOT_ALLOWED = _reply("405 Method Not Allowed", b"", "text/plain; charset=utf-8")
BAD_REQUEST = _reply("400 Bad Request", b"400 Bad Request", "text/plain; charset=utf-8")
INVALID_REQUEST_ID = fault("400 Bad Request", "Invalid request ID", "InvalidRequestID")
INVALID_RESPONSE_MODE = fault("400 Bad Request", "Invalid function response mode", "InvalidFunctionResponseMode")
TRUNCATED = fault("400 Bad Request", "HTTP request detected as truncated", "TruncatedHTTPRequest")


def too_large(most_bytes: int) -> bytes:
    return fault(
        "413 Request Entity Too Large",
        f"Exceeded maximum allowed payload size ({most_bytes} bytes).",
        "RequestEntityTooLarge",
    )


def refused_transition(now: RuntimeState, wanted: RuntimeState) -> bytes:
    return fault(
        "403 Forbidden",
        f"State transition from {now} to {wanted} failed for runtime. Error: State transition is not allowed",
        "InvalidStateTransition",
    )
