"""HTTP APIs at work: a request finds its stage, its route, its authorizer and its integration.

Compiled from the API's document when that is first asked for, and anew after every change. Texts of refusals are
API Gateway's. Source: API Gateway Developer Guide, "HTTP APIs".
"""

from __future__ import annotations

import base64
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gateway.front_doors import functions, http_proxy, jwt_authorizer, payload_v1, payload_v2
from gateway.front_doors.authorizers import (
    ACTION,
    Decision,
    Decisions,
    Misconfigured,
    policy_decision,
    simple_decision,
)
from gateway.front_doors.cors import Cors
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.function_uri import BadUri, function_of
from gateway.front_doors.jwt_authorizer import IssuerKeys
from gateway.front_doors.outbound import Unreachable
from gateway.front_doors.response import BadResponse, HttpResponse, json_answer
from gateway.front_doors.routing import RouteTable
from gateway.http import Answer
from gateway.ids import new_request_id
from hearth.errors import HearthError, InvocationTimedOut
from hearth.model.invocation import InvocationResult, Outcome
from hearth.policies import Verdict
from hearth.store.apis import ApiRecord

if TYPE_CHECKING:
    from gateway.backends import Backends

log = logging.getLogger(__name__)

DEFAULT = "$default"
#: API Gateway takes this much, a function less
MAX_BODY_BYTES = 10 * 2**20
AUTHORIZER_TIMEOUT_S = 10.0
#: where a function names no type
_TEXT = "text/plain;charset=UTF-8"


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
class _Route:
    key: str
    members: dict[str, Any]
    integration: dict[str, Any] | None
    authorizer: dict[str, Any] | None
    decisions: Decisions


class _Stage:
    def __init__(self, members: dict[str, Any], parts: dict[str, Any]) -> None:
        self.name: str = members["StageName"]
        self.variables: dict[str, str] = members.get("StageVariables") or {}
        self.default: _Route | None = None
        decisions = {
            authorizer_id: Decisions(one.get("AuthorizerResultTtlInSeconds", 0))
            for authorizer_id, one in parts["Authorizers"].items()
        }
        routes = []
        for members_of_route in parts["Routes"].values():
            target = members_of_route.get("Target", "").removeprefix("integrations/")
            authorizer_id = members_of_route.get("AuthorizerId", "")
            route = _Route(
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
class _Exchange:
    """One request on its way through the API."""

    request: DoorRequest
    stage: _Stage
    route: _Route
    #: below the stage, percent-encoded
    path: str
    #: as the event shows it: with the stage's name, decoded
    shown_path: str
    parameters: dict[str, str]
    request_id: str
    #: what the authorizer gave: {"lambda": {...}}, {"jwt": {...}} or {"iam": {...}}
    authorizer: dict[str, Any]
    principal_id: str | None = None


class HttpApi:
    """One API. keys: the issuers' keys that all APIs of the process share."""

    def __init__(self, record: ApiRecord, snapshots: dict[str, dict[str, Any]], keys: IssuerKeys) -> None:
        document = record.document
        self._api = document["Api"]
        self._account = record.account
        self.region = record.region
        self.revision = record.revision
        self._id = record.id
        self._base = f"arn:aws:execute-api:{record.region}:{record.account}:{record.id}"
        self._keys = keys
        self._cors = Cors.read(self._api.get("CorsConfiguration"))
        self._stages: dict[str, _Stage] = {}
        for name, members in document["Stages"].items():
            parts = document if members.get("AutoDeploy") else snapshots.get(members.get("DeploymentId", ""))
            if parts is not None:
                self._stages[name] = _Stage(members, parts)

    async def serve(self, backends: Backends, request: DoorRequest) -> Answer:
        request_id = base64.b64encode(secrets.token_bytes(11)).decode()
        preflight = self._cors.preflight(request) if self._cors else None
        if preflight is not None:
            answer = HttpResponse(204, preflight, b"").answer()
        else:
            answer = await self._answer(backends, request, request_id)
        answer.headers.append((b"apigw-requestid", request_id.encode()))
        return answer

    async def _answer(self, backends: Backends, request: DoorRequest, request_id: str) -> Answer:
        try:
            exchange = self._matched(request, request_id)
            await self._authorise(backends, exchange)
            response = await self._integrate(backends, exchange)
            if self._cors is not None:
                response.headers = self._cors.applied(request, response.headers)
            return response.answer()
        except Refused as refusal:
            answer = refusal.answer()
        except BadResponse as exc:
            log.warning("bad answer of an integration", extra={"action": "bad_integration_answer", "error": str(exc)})
            answer = json_answer(500, {"message": "Internal Server Error"})
        if self._cors is not None:
            allowed = self._cors.applied(request, [])
            answer.headers += [(name.encode(), value.encode()) for name, value in allowed]
        return answer

    def _matched(self, request: DoorRequest, request_id: str) -> _Exchange:
        """Raises Refused."""
        if self._api.get("DisableExecuteApiEndpoint"):
            raise Refused(404, "Not Found")
        if len(request.body) > MAX_BODY_BYTES:
            raise Refused(413, "Request Entity Too Large")
        stage, path = self._stage_of(request.path)
        shown = request.decoded_path
        match = stage.routes.match(request.method, path)
        route, parameters = (match.target, match.parameters) if match else (stage.default, {})
        if route is None:
            raise Refused(404, "Not Found")
        if stage.name == DEFAULT:
            shown = unquote(path)
        return _Exchange(request, stage, route, path, shown, parameters, request_id, {})

    def _stage_of(self, path: str) -> tuple[_Stage, str]:
        """A path's first segment, if it names a stage; else the default stage takes it whole. Raises Refused."""
        first, slash, rest = path[1:].partition("/")
        stage = self._stages.get(unquote(first))
        if stage is not None:
            return stage, f"/{rest}" if slash else "/"
        if (default := self._stages.get(DEFAULT)) is not None:
            return default, path
        raise Refused(404, "Not Found")

    # --- who may --------------------------------------------------------------------------------------------
    async def _authorise(self, backends: Backends, exchange: _Exchange) -> None:
        """Raises Refused."""
        match exchange.route.members.get("AuthorizationType", "NONE"):
            case "AWS_IAM":
                exchange.authorizer = {"iam": self._signed_by(backends, exchange)}
            case "JWT":
                exchange.authorizer = {"jwt": await self._token(exchange)}
            case "CUSTOM":
                await self._ask_function(backends, exchange)

    def _signed_by(self, backends: Backends, exchange: _Exchange) -> dict[str, Any]:
        """Raises Refused."""
        try:
            caller = backends.verifier.verify(exchange.request.signed, "execute-api")
            caller.check(ACTION, self._arn(exchange))
        except HearthError as exc:
            raise Refused(403, "Forbidden") from exc
        if caller.account != self._account:
            raise Refused(403, "Forbidden")
        return payload_v2.iam_identity(caller, exchange.request)

    async def _token(self, exchange: _Exchange) -> dict[str, Any]:
        authorizer = exchange.route.authorizer or {}
        settings = authorizer.get("JwtConfiguration") or {}
        scopes = exchange.route.members.get("AuthorizationScopes") or []
        token = self._identity(authorizer, exchange)
        try:
            claims, held = await jwt_authorizer.claims_of(
                token[0] if token else None,
                self._keys,
                issuer=settings.get("Issuer", ""),
                audience=settings.get("Audience") or [],
                scopes=scopes,
            )
        except jwt_authorizer.Unauthorized as exc:
            told = 'Bearer scope="" error="invalid_token"' if str(exc) else "Bearer"
            described = f' error_description="{exc}"' if str(exc) else ""
            raise Refused(401, "Unauthorized", (b"www-authenticate", f"{told}{described}".encode())) from exc
        except jwt_authorizer.Forbidden as exc:
            told = f'Bearer scope="{" ".join(scopes)}" error="insufficient_scope"'
            raise Refused(403, "Forbidden", (b"www-authenticate", told.encode())) from exc
        return {"claims": jwt_authorizer.shown(claims), "scopes": held}

    async def _ask_function(self, backends: Backends, exchange: _Exchange) -> None:
        route = exchange.route
        authorizer = route.authorizer
        if authorizer is None:
            raise Refused(500, "Internal Server Error")
        identity = self._identity(authorizer, exchange)
        if identity is None:
            raise Refused(401, "Unauthorized")
        arn = self._arn(exchange)
        decision = route.decisions.find(identity)
        if decision is None:
            decision = await self._decided(backends, exchange, authorizer, identity, arn)
            route.decisions.keep(identity, decision)
        if decision.verdict(arn, exchange.request.source_ip) is not Verdict.ALLOWED:
            raise Refused(403, "Forbidden")
        exchange.authorizer = {"lambda": decision.context}
        exchange.principal_id = decision.principal_id

    async def _decided(
        self,
        backends: Backends,
        exchange: _Exchange,
        authorizer: dict[str, Any],
        identity: tuple[str, ...],
        arn: str,
    ) -> Decision:
        if authorizer.get("AuthorizerPayloadFormatVersion") == "2.0":
            event = self._event_v2(exchange)
            asked: dict[str, Any] = {
                "version": "2.0",
                "type": "REQUEST",
                "routeArn": arn,
                "identitySource": list(identity) or None,
                **{name: value for name, value in event.items() if name not in ("version", "body", "isBase64Encoded")},
            }
        else:
            event = self._event_v1(exchange)
            asked = {
                "version": "1.0",
                "type": "REQUEST",
                "methodArn": arn,
                "identitySource": ",".join(identity),
                "authorizationToken": ",".join(identity),
                **{name: value for name, value in event.items() if name not in ("version", "body", "isBase64Encoded")},
            }
        try:
            result = await functions.run(
                backends,
                function_of(authorizer["AuthorizerUri"], exchange.stage.variables),
                asked,
                request_id=new_request_id(),
                trace_id=exchange.request.trace_id,
                timeout_s=AUTHORIZER_TIMEOUT_S,
                source=functions.Source(
                    self._account,
                    (f"{self._base}/authorizers/{authorizer['AuthorizerId']}",),
                    authorizer.get("AuthorizerCredentialsArn", ""),
                ),
            )
            if result.outcome is not Outcome.OK:
                raise Misconfigured(result.detail)
            if authorizer.get("EnableSimpleResponses"):
                return simple_decision(result.payload)
            return policy_decision(result.payload, text_context=False)
        except (Misconfigured, BadUri, functions.FunctionMissing, functions.PayloadTooLarge, HearthError) as exc:
            log.warning("an authorizer failed", extra={"action": "authorizer_failed", "error": str(exc)})
            raise Refused(500, "Internal Server Error") from exc

    def _identity(self, authorizer: dict[str, Any], exchange: _Exchange) -> tuple[str, ...] | None:
        """The values of the identity sources; None if one is missing."""
        values = []
        for source in authorizer.get("IdentitySource") or []:
            value = self._selected(source, exchange)
            if not value:
                return None
            values.append(value)
        return tuple(values)

    def _selected(self, expression: str, exchange: _Exchange) -> str | None:
        root, _, name = expression.partition(".")
        kind, _, member = name.partition(".")
        request = exchange.request
        if root == "$request" and kind == "header":
            return request.header(member.lower())
        if root == "$request" and kind == "querystring":
            return ",".join(request.parameters.get(member, ())) or None
        if root == "$stageVariables":
            return exchange.stage.variables.get(name)
        if root == "$context":
            known = {
                "routeKey": exchange.route.key,
                "httpMethod": request.method,
                "path": exchange.shown_path,
                "stage": exchange.stage.name,
                "identity.sourceIp": request.source_ip,
            }
            return known.get(name)
        return None

    # --- what runs ------------------------------------------------------------------------------------------
    async def _integrate(self, backends: Backends, exchange: _Exchange) -> HttpResponse:
        """Raises Refused, BadResponse."""
        integration = exchange.route.integration
        if integration is None:
            raise Refused(500, "Internal Server Error")
        timeout_s = integration.get("TimeoutInMillis", 30_000) / 1000
        if integration["IntegrationType"] == "HTTP_PROXY":
            return await self._forward(backends, exchange, integration, timeout_s)
        second = integration.get("PayloadFormatVersion") == "2.0"
        event = self._event_v2(exchange) if second else self._event_v1(exchange)
        try:
            result = await functions.run(
                backends,
                function_of(integration["IntegrationUri"], exchange.stage.variables),
                event,
                request_id=new_request_id(),
                trace_id=exchange.request.trace_id,
                timeout_s=timeout_s,
                source=functions.Source(self._account, self._sources(exchange), integration.get("CredentialsArn", "")),
            )
        except InvocationTimedOut as exc:
            raise Refused(503, "Service Unavailable") from exc
        except functions.PayloadTooLarge as exc:
            raise Refused(413, "Request Entity Too Large") from exc
        except (BadUri, functions.FunctionMissing) as exc:
            log.warning("no function behind a route", extra={"action": "integration_missing", "error": str(exc)})
            raise Refused(500, "Internal Server Error") from exc
        except HearthError as exc:
            raise Refused(503, "Service Unavailable") from exc
        return self._response(result, second=second)

    async def _forward(
        self, backends: Backends, exchange: _Exchange, integration: dict[str, Any], timeout_s: float
    ) -> HttpResponse:
        method = integration.get("IntegrationMethod", "ANY")
        try:
            url = http_proxy.filled(integration["IntegrationUri"], exchange.parameters, exchange.stage.variables)
            return await http_proxy.forward(
                exchange.request,
                url,
                method=exchange.request.method if method == "ANY" else method,
                timeout_s=timeout_s,
                allowed=backends.settings.egress_allow,
            )
        except http_proxy.TimedOut as exc:
            raise Refused(504, "Gateway Timeout") from exc
        except Unreachable as exc:
            log.warning("an HTTP integration failed", extra={"action": "http_proxy_failed", "error": str(exc)})
            raise Refused(500, "Internal Server Error") from exc

    def _response(self, result: InvocationResult, *, second: bool) -> HttpResponse:
        match result.outcome:
            case Outcome.OK if second:
                return payload_v2.response(result.payload, default_type=_TEXT)
            case Outcome.OK:
                return payload_v1.response(result.payload, decode=True, default_type=_TEXT)
            case Outcome.FUNCTION_ERROR:
                raise Refused(500, "Internal Server Error")
        raise Refused(503, "Service Unavailable")

    def _event_v2(self, exchange: _Exchange) -> dict[str, Any]:
        context = payload_v2.request_context(
            exchange.request,
            account=self._account,
            api_id=self._id,
            route_key=exchange.route.key,
            stage=exchange.stage.name,
            path=exchange.shown_path,
            request_id=exchange.request_id,
        )
        if exchange.authorizer:
            context["authorizer"] = exchange.authorizer
        event = payload_v2.event(exchange.request, context, raw_path=exchange.shown_path)
        if exchange.parameters:
            event["pathParameters"] = exchange.parameters
        if exchange.stage.variables:
            event["stageVariables"] = exchange.stage.variables
        return event

    def _event_v1(self, exchange: _Exchange) -> dict[str, Any]:
        method, _, path = exchange.route.key.partition(" ")
        request = exchange.request
        context = payload_v1.request_context(
            request,
            account=self._account,
            api_id=self._id,
            stage=exchange.stage.name,
            path=exchange.shown_path,
            request_id=exchange.request_id,
            resource_path=path or method,
            resource_id=exchange.route.key,
        )
        if exchange.authorizer:
            context["authorizer"] = self._authorizer_v1(exchange)
        event = payload_v1.event(
            request,
            context,
            resource=path or method,
            path=exchange.shown_path,
            path_parameters=exchange.parameters,
            stage_variables=exchange.stage.variables,
            base64_body=not payload_v2.is_text(request.header("content-type")),
        )
        return {"version": "1.0", **event}

    def _authorizer_v1(self, exchange: _Exchange) -> dict[str, Any]:
        if "jwt" in exchange.authorizer:
            return exchange.authorizer["jwt"]
        if "lambda" in exchange.authorizer:
            return {**exchange.authorizer["lambda"], "principalId": exchange.principal_id}
        return {}

    def _sources(self, exchange: _Exchange) -> tuple[str, ...]:
        """What a function's policy may call the route: by the path that was asked for, or by its key."""
        method, _, path = exchange.route.key.partition(" ")
        stage = f"{self._base}/{exchange.stage.name}"
        return self._arn(exchange), f"{stage}/{method}{path}"

    def _arn(self, exchange: _Exchange) -> str:
        return f"{self._base}/{exchange.stage.name}/{exchange.request.method}{exchange.path}"
