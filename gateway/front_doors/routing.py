"""Which route of an API takes a request. Pure.

A path in full before a greedy one, fixed segments before variables, a method before ANY. Source: API Gateway Developer
Guide, "Create routes for HTTP APIs"; the resource tree of REST APIs follows the same order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")
ANY = "ANY"
_LABEL = re.compile(r"\{([^{}+]+)(\+?)\}")
_FIXED, _VARIABLE, _GREEDY = range(3)


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    target: T
    #: decoded values of the path's variables
    parameters: dict[str, str]


class _Path(Generic[T]):
    __slots__ = ("kinds", "method", "segments", "target")

    def __init__(self, method: str, path: str, target: T) -> None:
        self.method = method
        self.segments: list[str] = []
        self.kinds: list[int] = []
        self.target = target
        for segment in path.strip("/").split("/"):
            label = _LABEL.fullmatch(segment)
            self.segments.append(label[1] if label else segment)
            self.kinds.append(_FIXED if not label else _GREEDY if label[2] else _VARIABLE)

    @property
    def order(self) -> tuple[bool, list[int], bool]:
        return _GREEDY in self.kinds, self.kinds, self.method == ANY

    def match(self, given: list[str]) -> dict[str, str] | None:
        greedy = self.kinds[-1] == _GREEDY
        count = len(self.segments)
        if len(given) < count or (len(given) > count and not greedy):
            return None
        found = {}
        for index, (kind, segment) in enumerate(zip(self.kinds, self.segments, strict=True)):
            if kind == _FIXED:
                if given[index] != segment:
                    return None
            elif kind == _VARIABLE:
                if not given[index]:
                    return None
                found[segment] = given[index]
            else:
                found[segment] = "/".join(given[index:])
                if not found[segment]:
                    return None
        return found


class RouteTable(Generic[T]):
    """routes: (method or ANY, path with {variables}, what takes it)."""

    def __init__(self, routes: Iterable[tuple[str, str, T]]) -> None:
        self._paths = sorted((_Path(*route) for route in routes), key=lambda path: path.order)

    def match(self, method: str, path: str, *, trailing_slash: bool = False) -> Match[T] | None:
        """path: percent-encoded, beginning with "/". trailing_slash: one at the end makes no difference."""
        given = segments(path, trailing_slash=trailing_slash)
        for one in self._paths:
            if one.method in (method, ANY) and (found := one.match(given)) is not None:
                return Match(one.target, found)
        return None


def segments(path: str, *, trailing_slash: bool = False) -> list[str]:
    parts = [unquote(part) for part in path[1:].split("/")]
    if trailing_slash and len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts
