"""One request on its way through an HTTP API: its stage and route, what expressions select of it, its events. Pure.

Source: API Gateway Developer Guide, "HTTP APIs".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.front_doors import payload_v1, payload_v2
from gateway.front_doors.api import ApiName
from gateway.front_doors.authorizers import Decisions
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.response import json_answer
from gateway.front_doors.routing import RouteTable
from gateway.http import Answer

DEFAULT = "$default"


class Refused(Exception):
    """The gateway itself answers."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers

    def answer(self) -> Answer:
        return json_answer(self.status, {"message": self.message}, *self.headers)


@dataclass(frozen=True, slots=True)
class Route:
    key: str
    members: dict[str, Any]
    integration: dict[str, Any] | None
    authorizer: dict[str, Any] | None
    decisions: Decisions


class Stage:
    def __init__(self, members: dict[str, Any], parts: dict[str, Any]) -> None:
        self.name: str = members["StageName"]
        self.variables: dict[str, str] = members.get("StageVariables") or {}
        self.default: Route | None = None
        decisions = {
            authorizer_id: Decisions(one.get("AuthorizerResultTtlInSeconds", 0))
            for authorizer_id, one in parts["Authorizers"].items()
        }
        routes = []
        for members_of_route in parts["Routes"].values():
            target = members_of_route.get("Target", "").removeprefix("integrations/")
            authorizer_id = members_of_route.get("AuthorizerId", "")
            route = Route(
                members_of_route["RouteKey"],
                members_of_route,
                parts["Integrations"].get(target),
                parts["Authorizers"].get(authorizer_id),
                decisions.get(authorizer_id) or Decisions(0),
            )
            if route.key == DEFAULT:
                self.default = route
            else:
                method, _, path = route.key.partition(" ")
                routes.append((method, path, route))
        self.routes = RouteTable(routes)


@dataclass(slots=True)
class Exchange:
    api: ApiName
    request: DoorRequest
    stage: Stage
    route: Route
    #: below the stage, percent-encoded
    path: str
    #: as the event shows it: with the stage's name, decoded
    shown_path: str
    parameters: dict[str, str]
    request_id: str
    #: what the authorizer gave: {"lambda": {...}}, {"jwt": {...}} or {"iam": {...}}
    authorizer: dict[str, Any]
    principal_id: str | None = None

    @property
    def arn(self) -> str:
        """By the path that was asked for."""
        return f"{self.api.arn}/{self.stage.name}/{self.request.method}{self.path}"

    @property
    def arns(self) -> tuple[str, ...]:
        """What a function's policy may call the route: by the path that was asked for, or by its key."""
        method, _, path = self.route.key.partition(" ")
        return self.arn, f"{self.api.arn}/{self.stage.name}/{method}{path}"

    def selected(self, expression: str) -> str | None:
        """$request.{header,querystring}.NAME, $stageVariables.NAME or $context.NAME."""
        root, _, name = expression.partition(".")
        kind, _, member = name.partition(".")
        request = self.request
        if root == "$request" and kind == "header":
            return request.header(member.lower())
        if root == "$request" and kind == "querystring":
            return ",".join(request.parameters.get(member, ())) or None
        if root == "$stageVariables":
            return self.stage.variables.get(name)
        if root == "$context":
            known = {
                "routeKey": self.route.key,
                "httpMethod": request.method,
                "path": self.shown_path,
                "stage": self.stage.name,
                "identity.sourceIp": request.source_ip,
            }
            return known.get(name)
        return None

    def event_v2(self) -> dict[str, Any]:
        context = payload_v2.request_context(
            self.request,
            account=self.api.account,
            api_id=self.api.id,
            route_key=self.route.key,
            stage=self.stage.name,
            path=self.shown_path,
            request_id=self.request_id,
        )
        if self.authorizer:
            context["authorizer"] = self.authorizer
        event = payload_v2.event(self.request, context, raw_path=self.shown_path)
        if self.parameters:
            event["pathParameters"] = self.parameters
        if self.stage.variables:
            event["stageVariables"] = self.stage.variables
        return event

    def event_v1(self) -> dict[str, Any]:
        method, _, path = self.route.key.partition(" ")
        request = self.request
        context = payload_v1.request_context(
            request,
            account=self.api.account,
            api_id=self.api.id,
            stage=self.stage.name,
            path=self.shown_path,
            request_id=self.request_id,
            resource_path=path or method,
            resource_id=self.route.key,
        )
        if self.authorizer:
            context["authorizer"] = self._authorizer_v1()
        event = payload_v1.event(
            request,
            context,
            resource=path or method,
            path=self.shown_path,
            path_parameters=self.parameters,
            stage_variables=self.stage.variables,
            base64_body=not payload_v2.is_text(request.header("content-type")),
        )
        return {"version": "1.0", **event}

    def _authorizer_v1(self) -> dict[str, Any]:
        if "jwt" in self.authorizer:
            return self.authorizer["jwt"]
        if "lambda" in self.authorizer:
            return {**self.authorizer["lambda"], "principalId": self.principal_id}
        return {}
