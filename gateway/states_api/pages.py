"""Pages of lists: `maxResults` items and a token that belongs to its query."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

from hearth.errors import ApiError

DEFAULT = 100

T = TypeVar("T")


def size_of(given: dict[str, Any]) -> int:
    """0 means the default, as on AWS."""
    return given.get("maxResults") or DEFAULT


def page(items: list[T], given: dict[str, Any], *query: object) -> tuple[list[T], str | None]:
    """The page that `given` asks for and the token of the next one. query: what else decides over the list."""
    start, size = start_of(given, *query), size_of(given)
    end = start + size
    return items[start:end], token_of(end, *query) if end < len(items) else None


def start_of(given: dict[str, Any], *query: object) -> int:
    """Where the page begins. Raises InvalidToken."""
    token = given.get("nextToken")
    if token is None:
        return 0
    try:
        position, _, mark = base64.b64decode(token, validate=True).decode().partition(" ")
        start = int(position)
    except (binascii.Error, ValueError) as exc:
        raise invalid_token() from exc
    if start < 0 or mark != _mark(query):
        raise invalid_token()
    return start


def token_of(position: int, *query: object) -> str:
    return base64.b64encode(f"{position} {_mark(query)}".encode()).decode()


def invalid_token() -> ApiError:
    return ApiError("InvalidToken", 400, "Invalid Token: 'Invalid token'")


def _mark(query: Sequence[object]) -> str:
    return hashlib.sha256(repr(query).encode()).hexdigest()[:16]
