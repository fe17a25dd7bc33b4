"""CORS as front doors answer it themselves. Pure.

Source: API Gateway Developer Guide, "Configure CORS for HTTP APIs"; Lambda Developer Guide, "Invoking Lambda function
URLs"; the Fetch standard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.front_doors.door_request import DoorRequest

PREFIX = "access-control-"


@dataclass(frozen=True, slots=True)
class Cors:
    """The rules of one door; methods and headers may be ("*",)."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int | None = None

    @classmethod
    def read(cls, given: dict[str, Any] | None) -> Cors | None:
        """From the members that both services give it."""
        if not given:
            return None
        return cls(
            origins=tuple(given.get("AllowOrigins") or ()),
            methods=tuple(given.get("AllowMethods") or ()),
            headers=tuple(given.get("AllowHeaders") or ()),
            exposed=tuple(given.get("ExposeHeaders") or ()),
            credentials=bool(given.get("AllowCredentials")),
            max_age_s=given.get("MaxAge"),
        )

    def preflight(self, request: DoorRequest) -> list[tuple[str, str]] | None:
        """The answer's headers if the request is a preflight, none of them if it isn't allowed."""
        if request.method != "OPTIONS" or request.header("access-control-request-method") is None:
            return None
        allowed = self._origin(request.header("origin"))
        if allowed is None:
            return []
        headers = self._common(allowed)
        if self.methods:
            headers.append(("access-control-allow-methods", ",".join(self.methods)))
        if self.headers:
            headers.append(("access-control-allow-headers", ",".join(self.headers)))
        if self.max_age_s is not None:
            headers.append(("access-control-max-age", str(self.max_age_s)))
        return headers

    def applied(self, request: DoorRequest, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """A response's headers with these rules in the place of the function's own."""
        kept = [(name, value) for name, value in headers if not name.lower().startswith(PREFIX)]
        allowed = self._origin(request.header("origin"))
        return kept if allowed is None else kept + self._common(allowed)

    def _common(self, allowed: str) -> list[tuple[str, str]]:
        headers = [("access-control-allow-origin", allowed)]
        if allowed != "*":
            headers.append(("vary", "Origin"))
        if self.credentials:
            headers.append(("access-control-allow-credentials", "true"))
        if self.exposed:
            headers.append(("access-control-expose-headers", ",".join(self.exposed)))
        return headers

    def _origin(self, origin: str | None) -> str | None:
        """What to allow; None: nothing. Patterns: `*`, `https://*` and `http://*` besides whole origins."""
        if origin is None:
            return None
        for pattern in self.origins:
            if pattern == "*":
                return origin if self.credentials else "*"
            if origin.lower() == pattern.lower():
                return origin
            if pattern.endswith("://*") and origin.lower().startswith(pattern[:-1].lower()):
                return origin
        return None
