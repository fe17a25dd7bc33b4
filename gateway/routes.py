"""Requests to operations: by method and path (REST), X-Amz-Target (JSON) or Action (Query).

Every operation of a service's model has a route, so that one which isn't offered is refused by its name, in its
service's own protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.call import Operation
from gateway.http import Request
from gateway.protocols.json_rpc import CBOR
from gateway.protocols.query import form_of
from gateway.protocols.service import Plan, Service
from gateway.services import Offer

#: paths whose routes are remembered; a client calls the same few again and again
_KEPT_PATHS = 4096
_LONGEST_KEPT = 256
_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """operation None: in the model, but not offered."""

    service: Service
    name: str
    labels: tuple[str, ...] = ()
    operation: Operation | None = None

    @property
    def plan(self) -> Plan:
        """Compiled at the first use, then kept by the service."""
        return self.service.plan(self.name, self.labels)


@dataclass(frozen=True, slots=True)
class _Pattern:
    #: literal segments; None where a label is
    segments: tuple[str | None, ...]
    greedy: bool
    #: query parameters that the model's URI demands (?List=ALL)
    parameters: dict[str, str]
    route: Route

    def match(self, segments: list[str], request: Request) -> list[str] | None:
        """The labels' values, percent-encoded; None if this isn't the path."""
        if self.greedy:
            count = len(self.segments)
            if len(segments) < count:
                return None
            segments = [*segments[: count - 1], "/".join(segments[count - 1 :])]
        elif len(segments) != len(self.segments):
            return None
        values = []
        for literal, segment in zip(self.segments, segments, strict=True):
            if literal is None:
                if not segment:
                    return None
                values.append(segment)
            elif literal != segment:
                return None
        for name, value in self.parameters.items():
            if request.parameters.get(name) != [value]:
                return None
        return values


class Router:
    """Built once per process."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        #: (method, first segment) -> patterns, most specific first
        self._paths: dict[tuple[str, str], list[_Pattern]] = {}
        #: by protocol: JSON, or CBOR for those that speak it
        self._targets: dict[tuple[str, str], Route] = {}
        self._target_services: dict[tuple[str, str], Service] = {}
        self._actions: dict[tuple[str, str], Route] = {}
        self._query_services: list[Service] = []
        self._rest_services: list[Service] = []
        #: (method, path) without a query -> what was found
        self._found: dict[tuple[str, str], tuple[Route, list[str], Service]] = {}
        for offer in offers:
            self._add(offer)
        for patterns in self._paths.values():
            patterns.sort(key=lambda pattern: (-len(pattern.parameters), pattern.greedy, pattern.segments.count(None)))

    def _add(self, offer: Offer) -> None:
        service = offer.service
        match service.protocol:
            case "rest-json":
                self._rest_services.append(service)
            case "json" | "cbor":
                self._target_services[service.protocol, service.model.metadata["targetPrefix"]] = service
            case "query":
                self._query_services.append(service)
        for name in service.model.operation_names:
            operation = offer.operations.get(name)
            if service.protocol == "rest-json":
                self._add_path(service, name, operation)
            elif service.protocol in ("json", "cbor"):
                target = f"{service.model.metadata['targetPrefix']}.{name}"
                self._targets[service.protocol, target] = Route(service, name, (), operation)
            else:
                key = (service.model.api_version, name)
                self._actions[key] = Route(service, name, (), operation)

    def _add_path(self, service: Service, name: str, operation: Operation | None) -> None:
        http = service.model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        segments: list[str | None] = []
        labels: list[str] = []
        greedy = False
        for segment in path.strip("/").split("/"):
            if label := _LABEL.fullmatch(segment):
                segments.append(None)
                labels.append(label[1])
                greedy = greedy or bool(label[2])
            else:
                segments.append(segment)
        parameters = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        route = Route(service, name, tuple(labels), operation)
        key = (http["method"], str(segments[0]))
        self._paths.setdefault(key, []).append(_Pattern(tuple(segments), greedy, parameters, route))

    def find(self, request: Request) -> tuple[Route | None, list[str], Service]:
        """The route, its path's values, and the service in whose protocol an error is to be told."""
        target = request.headers.get("x-amz-target")
        if target is not None:
            protocol = "cbor" if request.headers.get("content-type", "").startswith(CBOR) else "json"
            service = self._target_services.get((protocol, target.partition(".")[0]))
            if service is not None:
                return self._targets.get((protocol, target)), [], service
        elif request.path == "/":
            form = form_of(request) if _may_be_form(request) else {}
            if action := form.get("Action"):
                route = self._actions.get((form.get("Version", ""), action))
                return route, [], route.service if route else self._query_services[0]
        else:
            key = (request.method, request.path)
            found = self._found.get(key) if not request.query else None
            if found is None:
                found = self._by_path(request)
                if found is not None and not request.query and len(request.path) <= _LONGEST_KEPT:
                    if len(self._found) >= _KEPT_PATHS:
                        self._found.clear()
                    self._found[key] = found
            if found is not None:
                return found
        return None, [], self._rest_services[0]

    def _by_path(self, request: Request) -> tuple[Route, list[str], Service] | None:
        segments = request.path.strip("/").split("/")
        for pattern in self._paths.get((request.method, segments[0]), ()):
            values = pattern.match(segments, request)
            if values is not None:
                return pattern.route, values, pattern.route.service
        return None


def _may_be_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "")
    return kind.startswith("application/x-www-form-urlencoded") or (request.method == "GET" and bool(request.query))
