"""One request on its way through a REST API: its stage and method, what expressions select of it, its event. Pure.

Source: API Gateway Developer Guide, "REST APIs"; the event as recorded from AWS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.caller import Caller
from gateway.front_doors import payload_v1
from gateway.front_doors.api import ApiName
from gateway.front_doors.authorizers import Decisions
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.routing import RouteTable
from gateway.sigv4 import access_key_of


@dataclass(frozen=True, slots=True)
class Method:
    resource: dict[str, Any]
    members: dict[str, Any]
    authorizer: dict[str, Any] | None
    decisions: Decisions
    #: names of parameters that must be there, as in method.request.querystring.NAME
    required: tuple[str, ...]


class Stage:
    """Compiled from what the stage's deployment froze."""

    def __init__(self, members: dict[str, Any], frozen: dict[str, Any]) -> None:
        self.name: str = members["stageName"]
        self.deployment_id: str = members["deploymentId"]
        self.variables: dict[str, str] = members.get("variables") or {}
        self.responses: dict[str, dict[str, Any]] = frozen["gatewayResponses"]
        self.binary_types: list[str] = frozen["api"].get("binaryMediaTypes") or []
        policy = frozen["api"].get("policy")
        self.policy = orjson.loads(policy) if policy else None
        decisions = {
            authorizer_id: Decisions(one["authorizerResultTtlInSeconds"])
            for authorizer_id, one in frozen["authorizers"].items()
        }
        routes = []
        for resource in frozen["resources"].values():
            for name, method in (resource.get("resourceMethods") or {}).items():
                authorizer_id = method.get("authorizerId", "")
                validator = frozen["requestValidators"].get(method.get("requestValidatorId", ""), {})
                checked = method.get("requestParameters") or {} if validator.get("validateRequestParameters") else {}
                compiled = Method(
                    resource,
                    method,
                    frozen["authorizers"].get(authorizer_id),
                    decisions.get(authorizer_id) or Decisions(0),
                    tuple(parameter for parameter, needed in checked.items() if needed),
                )
                routes.append((name, resource["path"], compiled))
        self.methods = RouteTable(routes)


@dataclass(slots=True)
class Exchange:
    api: ApiName
    request: DoorRequest
    stage: Stage
    method: Method
    #: below the stage, percent-encoded
    path: str
    parameters: dict[str, str]
    extended_id: str
    caller: Caller | None = None
    #: what the authorizer gave
    authorizer: dict[str, Any] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """By the path that was asked for."""
        path = self.path.rstrip("/") or "/"
        return f"{self.api.arn}/{self.stage.name}/{self.request.method}{path}"

    @property
    def arns(self) -> tuple[str, ...]:
        """What a function's policy may call the method: by the path that was asked for, or by the resource's."""
        resource = f"{self.request.method}{self.method.resource['path']}"
        return self.arn, f"{self.api.arn}/{self.stage.name}/{resource}"

    def selected(self, expression: str) -> str | None:
        """'text', method.request.{header,querystring,path}.NAME, stageVariables.NAME or context.NAME."""
        if expression.startswith("'"):
            return expression.strip("'")
        root, _, rest = expression.partition(".")
        request = self.request
        if root == "stageVariables":
            return self.stage.variables.get(rest)
        if root == "context":
            known = {
                "httpMethod": request.method,
                "requestId": request.request_id,
                "path": f"/{self.stage.name}{self.path}",
                "resourcePath": self.method.resource["path"],
                "stage": self.stage.name,
                "identity.sourceIp": request.source_ip,
            }
            return known.get(rest)
        kind, _, name = rest.removeprefix("request.").partition(".")
        match kind:
            case "header":
                return request.header(name.lower())
            case "querystring":
                return ",".join(request.parameters.get(name, ())) or None
            case "path":
                return self.parameters.get(name)
        return None

    def event(self) -> dict[str, Any]:
        request, stage, resource = self.request, self.stage, self.method.resource
        context = payload_v1.request_context(
            request,
            account=self.api.account,
            api_id=self.api.id,
            stage=stage.name,
            path=f"/{stage.name}{self.path}",
            request_id=request.request_id,
            resource_path=resource["path"],
            resource_id=resource["id"],
        )
        context |= {"deploymentId": stage.deployment_id, "extendedRequestId": self.extended_id}
        if self.authorizer:
            context["authorizer"] = self.authorizer
        if (caller := self.caller) is not None:
            context["identity"] |= {
                "accessKey": access_key_of(request.signed),
                "accountId": caller.account,
                "caller": caller.user_id,
                "user": caller.user_id,
                "userArn": caller.arn,
            }
        return payload_v1.event(
            request,
            context,
            resource=resource["path"],
            path=self.path,
            path_parameters=self.parameters,
            stage_variables=stage.variables,
            base64_body=payload_v1.matches_type(stage.binary_types, request.header("content-type")),
        )
