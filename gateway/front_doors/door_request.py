"""A request as front doors see it: with every header value apart, below the door's own path, read whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gateway.front_doors.entry import Entry
from gateway.http import Request, split_query
from gateway.ids import new_trace_id

#: hop by hop (RFC 9110, 7.6.1): of the connection, not of the request
_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})


@dataclass(slots=True)
class DoorRequest:
    """`path` is percent-encoded and begins with "/". Headers: names in lower case, in the order they came in."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    host: str
    source_ip: str
    #: HTTP/1.1
    protocol: str
    request_id: str
    received_at_ms: int
    #: the same request as the signature's verification takes it
    signed: Request
    trace_id: str = ""
    _parameters: dict[str, list[str]] | None = field(default=None, repr=False)

    @classmethod
    def read(
        cls, scope: dict[str, Any], request: Request, entry: Entry, *, host: str, request_id: str, now_ms: int
    ) -> DoorRequest:
        """request: with its body. host: the door's name where the request came by path."""
        client, server = scope.get("client") or ("127.0.0.1", 0), scope.get("server") or ("127.0.0.1", 80)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        headers = [(name, value) for name, value in headers if name not in _HOP and name != "host"]
        given = {name: value for name, value in headers if name.startswith("x-")}
        trace_id = given.get("x-amzn-trace-id") or new_trace_id()
        forwarded = f"{given['x-forwarded-for']}, {client[0]}" if given.get("x-forwarded-for") else client[0]
        added = {
            "host": host,
            "x-amzn-trace-id": trace_id,
            "x-forwarded-for": forwarded,
            "x-forwarded-port": given.get("x-forwarded-port", str(server[1])),
            "x-forwarded-proto": given.get("x-forwarded-proto", scope.get("scheme", "http")),
        }
        headers = [(name, value) for name, value in headers if name not in added]
        return cls(
            method=request.method,
            path=entry.path,
            query=request.query,
            headers=[*headers, *added.items()],
            body=request.body,
            host=host,
            source_ip=client[0],
            protocol=f"HTTP/{scope.get('http_version', '1.1')}",
            request_id=request_id,
            received_at_ms=now_ms,
            signed=request,
            trace_id=trace_id,
        )

    @property
    def decoded_path(self) -> str:
        return unquote(self.path)

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The query string taken apart."""
        if self._parameters is None:
            self._parameters = split_query(self.query, plus_is_space=True) if self.query else {}
        return self._parameters

    def header(self, name: str) -> str | None:
        """All values of a header (lower case), joined by a comma; None: not there."""
        values = [value for known, value in self.headers if known == name]
        return ",".join(values) if values else None
