"""REST APIs at work: a request finds its stage, its resource's method, its authorizer and its integration.

Compiled from what the stage's deployment froze. Offered are Lambda proxies, HTTP proxies and mocks; mapping templates
are not run. Source: API Gateway Developer Guide, "REST APIs"; events and refusals as recorded from AWS.
"""

from __future__ import annotations

import base64
import logging
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from gateway.caller import Caller
from gateway.front_doors import functions, gateway_responses, http_proxy, payload_v1
from gateway.front_doors.authorizers import ACTION, Decision, Decisions, Misconfigured, policy_decision
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.function_uri import BadUri, function_of
from gateway.front_doors.gateway_responses import Refused
from gateway.front_doors.outbound import Unreachable
from gateway.front_doors.response import BadResponse, HttpResponse, json_answer
from gateway.front_doors.routing import RouteTable
from gateway.http import Answer
from gateway.ids import new_request_id
from gateway.sigv4 import access_key_of
from hearth.errors import AccessDenied, HearthError, InvocationTimedOut
from hearth.model.invocation import InvocationResult, Outcome
from hearth.policies import Access, Verdict, decide
from hearth.store.apis import ApiRecord

if TYPE_CHECKING:
    from gateway.backends import Backends

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 10 * 2**20
AUTHORIZER_TIMEOUT_S = 10.0
DEFAULT_TIMEOUT_MS = 29_000


@dataclass(frozen=True, slots=True)
class _Method:
    resource: dict[str, Any]
    members: dict[str, Any]
    authorizer: dict[str, Any] | None
    decisions: Decisions
    #: names of parameters that must be there, as in method.request.querystring.NAME
    required: tuple[str, ...]


class _Stage:
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
                compiled = _Method(
                    resource,
                    method,
                    frozen["authorizers"].get(authorizer_id),
                    decisions.get(authorizer_id) or Decisions(0),
                    tuple(parameter for parameter, needed in checked.items() if needed),
                )
                routes.append((name, resource["path"], compiled))
        self.methods = RouteTable(routes)


@dataclass(slots=True)
class _Exchange:
    """One request on its way through the API."""

    request: DoorRequest
    stage: _Stage
    method: _Method
    #: below the stage, percent-encoded
    path: str
    parameters: dict[str, str]
    extended_id: str
    caller: Caller | None = None
    #: what the authorizer gave
    authorizer: dict[str, Any] = field(default_factory=dict)


class RestApi:
    """One API."""

    def __init__(self, record: ApiRecord, snapshots: dict[str, dict[str, Any]]) -> None:
        self.region = record.region
        self.revision = record.revision
        self._account = record.account
        self._id = record.id
        self._base = f"arn:aws:execute-api:{record.region}:{record.account}:{record.id}"
        self._disabled = record.document["api"].get("disableExecuteApiEndpoint", False)
        self._stages = {
            name: _Stage(members, snapshots[members["deploymentId"]])
            for name, members in record.document["stages"].items()
            if members["deploymentId"] in snapshots
        }

    async def serve(self, backends: Backends, request: DoorRequest) -> Answer:
        extended_id = base64.b64encode(secrets.token_bytes(11)).decode()
        name, _, rest = request.path[1:].partition("/")
        stage = self._stages.get(name)
        if stage is None or self._disabled:
            answer = json_answer(403, {"message": "Forbidden"}, (b"x-amzn-errortype", b"ForbiddenException"))
        else:
            answer = await self._answer(backends, request, stage, f"/{rest}", extended_id)
        answer.headers.append((b"x-amz-apigw-id", extended_id.encode()))
        answer.headers.append((b"x-amzn-trace-id", request.trace_id.encode()))
        return answer

    async def _answer(
        self, backends: Backends, request: DoorRequest, stage: _Stage, path: str, extended_id: str
    ) -> Answer:
        try:
            match = stage.methods.match(request.method, path, trailing_slash=True)
            if match is None:
                raise Refused("MISSING_AUTHENTICATION_TOKEN")
            exchange = _Exchange(request, stage, match.target, path, match.parameters, extended_id)
            if len(request.body) > MAX_BODY_BYTES:
                raise Refused("REQUEST_TOO_LARGE")
            await self._authorise(backends, exchange)
            self._check_parameters(exchange)
            return (await self._integrate(backends, exchange)).answer()
        except Refused as refusal:
            return gateway_responses.rendered(refusal, stage.responses, request.request_id).answer()
        except BadResponse as exc:
            log.warning("bad answer of an integration", extra={"action": "bad_integration_answer", "error": str(exc)})
            return gateway_responses.rendered(
                Refused("INTEGRATION_FAILURE"), stage.responses, request.request_id
            ).answer()

    # --- who may --------------------------------------------------------------------------------------------
    async def _authorise(self, backends: Backends, exchange: _Exchange) -> None:
        """Raises Refused."""
        members = exchange.method.members
        match members["authorizationType"]:
            case "AWS_IAM":
                exchange.caller = self._signed_by(backends, exchange)
            case "CUSTOM":
                await self._ask_function(backends, exchange)
        if exchange.stage.policy is not None:
            self._check_policy(exchange, exchange.stage.policy)
        if members.get("apiKeyRequired"):
            raise Refused("INVALID_API_KEY")

    def _signed_by(self, backends: Backends, exchange: _Exchange) -> Caller:
        """Raises Refused."""
        try:
            caller = backends.verifier.verify(exchange.request.signed, "execute-api")
            caller.check(ACTION, self._arn(exchange))
        except AccessDenied as exc:
            raise Refused("ACCESS_DENIED", exc.message) from exc
        except HearthError as exc:
            if exc.code == "MissingAuthenticationTokenException":
                raise Refused("MISSING_AUTHENTICATION_TOKEN") from exc
            raise Refused("INVALID_SIGNATURE", exc.message) from exc
        if caller.account != self._account:
            raise Refused("ACCESS_DENIED")
        return caller

    def _check_policy(self, exchange: _Exchange, policy: dict[str, Any]) -> None:
        """The API's resource policy, in which execute-api:/... stands for the API itself."""
        text = orjson.dumps(policy).decode().replace('"execute-api:/', f'"{self._base}/')
        arn = self._arn(exchange)
        access = Access(ACTION, arn, context={"aws:sourceip": exchange.request.source_ip})
        if decide([orjson.loads(text)], access, resource_based=True) is not Verdict.ALLOWED:
            raise Refused("ACCESS_DENIED", f"User: anonymous is not authorized to perform: {ACTION} on resource: {arn}")

    async def _ask_function(self, backends: Backends, exchange: _Exchange) -> None:
        authorizer = exchange.method.authorizer
        if authorizer is None:
            raise Refused("AUTHORIZER_CONFIGURATION_ERROR")
        identity = self._identity(authorizer, exchange)
        arn = self._arn(exchange)
        decision = exchange.method.decisions.find(identity)
        if decision is None:
            decision = await self._decided(backends, exchange, authorizer, identity, arn)
            exchange.method.decisions.keep(identity, decision)
        match decision.verdict(arn, exchange.request.source_ip):
            case Verdict.EXPLICIT_DENY:
                raise Refused("ACCESS_DENIED", "User is not authorized to access this resource with an explicit deny")
            case Verdict.IMPLICIT_DENY:
                raise Refused("ACCESS_DENIED")
        exchange.authorizer = {**decision.context, "principalId": decision.principal_id, "integrationLatency": 0}

    async def _decided(
        self, backends: Backends, exchange: _Exchange, authorizer: dict[str, Any], identity: tuple[str, ...], arn: str
    ) -> Decision:
        if authorizer["type"] == "TOKEN":
            asked: dict[str, Any] = {"type": "TOKEN", "methodArn": arn, "authorizationToken": identity[0]}
        else:
            event = self._event(exchange)
            del event["body"], event["isBase64Encoded"]
            asked = {"type": "REQUEST", "methodArn": arn, **event}
        try:
            result = await functions.run(
                backends,
                function_of(authorizer["authorizerUri"], exchange.stage.variables),
                asked,
                request_id=new_request_id(),
                trace_id=exchange.request.trace_id,
                timeout_s=AUTHORIZER_TIMEOUT_S,
                source=functions.Source(
                    self._account,
                    (f"{self._base}/authorizers/{authorizer['id']}",),
                    authorizer.get("authorizerCredentials", ""),
                ),
            )
            if result.outcome is not Outcome.OK:
                if _error_message(result) == "Unauthorized":
                    raise Refused("UNAUTHORIZED")
                raise Misconfigured(result.detail)
            return policy_decision(result.payload, text_context=True)
        except Misconfigured as exc:
            log.warning("an authorizer failed", extra={"action": "authorizer_failed", "error": str(exc)})
            raise Refused("AUTHORIZER_FAILURE") from exc
        except (BadUri, functions.FunctionMissing, functions.PayloadTooLarge, HearthError) as exc:
            log.warning("an authorizer could not be asked", extra={"action": "authorizer_failed", "error": str(exc)})
            raise Refused("AUTHORIZER_CONFIGURATION_ERROR") from exc

    def _identity(self, authorizer: dict[str, Any], exchange: _Exchange) -> tuple[str, ...]:
        """The values of the identity sources. Raises Refused if one is missing, or the token isn't one."""
        values = []
        for source in filter(None, (one.strip() for one in (authorizer.get("identitySource") or "").split(","))):
            value = self._selected(source, exchange)
            if not value:
                raise Refused("UNAUTHORIZED")
            values.append(value)
        expression = authorizer.get("identityValidationExpression")
        if expression and authorizer["type"] == "TOKEN" and not re.fullmatch(expression, values[0]):
            raise Refused("UNAUTHORIZED")
        return tuple(values)

    def _check_parameters(self, exchange: _Exchange) -> None:
        missing = [
            name.rpartition(".")[2] for name in exchange.method.required if self._selected(name, exchange) is None
        ]
        if missing:
            raise Refused("BAD_REQUEST_PARAMETERS", f"Missing required request parameters: [{', '.join(missing)}]")

    def _selected(self, expression: str, exchange: _Exchange) -> str | None:
        """'text', method.request.{header,querystring,path}.NAME, stageVariables.NAME or context.NAME."""
        if expression.startswith("'"):
            return expression.strip("'")
        root, _, rest = expression.partition(".")
        request = exchange.request
        if root == "stageVariables":
            return exchange.stage.variables.get(rest)
        if root == "context":
            known = {
                "httpMethod": request.method,
                "requestId": request.request_id,
                "path": f"/{exchange.stage.name}{exchange.path}",
                "resourcePath": exchange.method.resource["path"],
                "stage": exchange.stage.name,
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
                return exchange.parameters.get(name)
        return None

    # --- what runs ------------------------------------------------------------------------------------------
    async def _integrate(self, backends: Backends, exchange: _Exchange) -> HttpResponse:
        """Raises Refused, BadResponse."""
        integration = exchange.method.members["methodIntegration"]
        match integration["type"]:
            case "AWS_PROXY" if integration.get("httpMethod") == "POST":
                return await self._function(backends, exchange, integration)
            case "HTTP_PROXY":
                return await self._forward(backends, exchange, integration)
            case "MOCK":
                return self._mock(exchange, integration)
        # Lambda takes POST only; integrations with mapping templates are not offered
        raise Refused("API_CONFIGURATION_ERROR")

    async def _function(self, backends: Backends, exchange: _Exchange, integration: dict[str, Any]) -> HttpResponse:
        event = self._event(exchange)
        self._map_request(exchange, integration, event)
        try:
            result = await functions.run(
                backends,
                function_of(integration["uri"], exchange.stage.variables),
                event,
                request_id=new_request_id(),
                trace_id=exchange.request.trace_id,
                timeout_s=integration.get("timeoutInMillis", DEFAULT_TIMEOUT_MS) / 1000,
                source=functions.Source(self._account, self._sources(exchange), integration.get("credentials", "")),
            )
        except InvocationTimedOut as exc:
            raise Refused("INTEGRATION_TIMEOUT") from exc
        except functions.PayloadTooLarge as exc:
            raise Refused("REQUEST_TOO_LARGE") from exc
        except (BadUri, functions.FunctionMissing, HearthError) as exc:
            log.warning("no function behind a method", extra={"action": "integration_missing", "error": str(exc)})
            raise Refused("API_CONFIGURATION_ERROR") from exc
        match result.outcome:
            case Outcome.OK:
                accepted = exchange.request.header("accept")
                decode = payload_v1.matches_type(exchange.stage.binary_types, accepted)
                return payload_v1.response(result.payload, decode=decode)
            case Outcome.FUNCTION_ERROR:
                raise Refused("INTEGRATION_FAILURE")
        raise Refused("API_CONFIGURATION_ERROR")

    def _map_request(self, exchange: _Exchange, integration: dict[str, Any], event: dict[str, Any]) -> None:
        """The integration's request parameters, as headers and parameters of the event."""
        for target, source in (integration.get("requestParameters") or {}).items():
            value = self._selected(source, exchange)
            kind, _, name = target.removeprefix("integration.request.").partition(".")
            if value is None:
                continue
            if kind == "header":
                event["headers"][name] = value
                event["multiValueHeaders"][name] = [value]
            elif kind == "querystring":
                event["queryStringParameters"] = (event["queryStringParameters"] or {}) | {name: value}
                multi = event["multiValueQueryStringParameters"] or {}
                event["multiValueQueryStringParameters"] = {**multi, name: [value]}

    async def _forward(self, backends: Backends, exchange: _Exchange, integration: dict[str, Any]) -> HttpResponse:
        parameters = dict(exchange.parameters)
        for target, source in (integration.get("requestParameters") or {}).items():
            if target.startswith("integration.request.path."):
                parameters[target.rpartition(".")[2]] = self._selected(source, exchange) or ""
        method = integration.get("httpMethod", "ANY")
        try:
            return await http_proxy.forward(
                exchange.request,
                http_proxy.filled(integration["uri"], parameters, exchange.stage.variables),
                method=exchange.request.method if method == "ANY" else method,
                timeout_s=integration.get("timeoutInMillis", DEFAULT_TIMEOUT_MS) / 1000,
                allowed=backends.settings.egress_allow,
            )
        except http_proxy.TimedOut as exc:
            raise Refused("INTEGRATION_TIMEOUT") from exc
        except Unreachable as exc:
            log.warning("an HTTP integration failed", extra={"action": "http_proxy_failed", "error": str(exc)})
            raise Refused("API_CONFIGURATION_ERROR") from exc

    def _mock(self, exchange: _Exchange, integration: dict[str, Any]) -> HttpResponse:
        """The response whose pattern matches the request template's status code, else the one without a pattern."""
        templates = integration.get("requestTemplates") or {}
        try:
            asked = orjson.loads(templates.get("application/json") or '{"statusCode": 200}')
            status = str(asked["statusCode"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
            raise Refused("API_CONFIGURATION_ERROR") from exc
        responses = list((integration.get("integrationResponses") or {}).values())
        matching = [one for one in responses if (p := one.get("selectionPattern")) and re.fullmatch(p, status)]
        default = [one for one in responses if not one.get("selectionPattern")]
        if not matching and not default:
            raise Refused("API_CONFIGURATION_ERROR")
        chosen = (matching or default)[0]
        headers = [("content-type", "application/json")]
        for target, source in (chosen.get("responseParameters") or {}).items():
            value = self._selected(source, exchange)
            if target.startswith("method.response.header.") and value is not None:
                headers.append((target.removeprefix("method.response.header."), value))
        body = (chosen.get("responseTemplates") or {}).get("application/json") or ""
        return HttpResponse(int(chosen["statusCode"]), headers, body.encode())

    def _event(self, exchange: _Exchange) -> dict[str, Any]:
        request, stage, resource = exchange.request, exchange.stage, exchange.method.resource
        context = payload_v1.request_context(
            request,
            account=self._account,
            api_id=self._id,
            stage=stage.name,
            path=f"/{stage.name}{exchange.path}",
            request_id=request.request_id,
            resource_path=resource["path"],
            resource_id=resource["id"],
        )
        context |= {"deploymentId": stage.deployment_id, "extendedRequestId": exchange.extended_id}
        if exchange.authorizer:
            context["authorizer"] = exchange.authorizer
        if (caller := exchange.caller) is not None:
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
            path=exchange.path,
            path_parameters=exchange.parameters,
            stage_variables=stage.variables,
            base64_body=payload_v1.matches_type(stage.binary_types, request.header("content-type")),
        )

    def _sources(self, exchange: _Exchange) -> tuple[str, ...]:
        """What a function's policy may call the method: by the path that was asked for, or by the resource's."""
        stage = f"{self._base}/{exchange.stage.name}"
        return self._arn(exchange), f"{stage}/{exchange.request.method}{exchange.method.resource['path']}"

    def _arn(self, exchange: _Exchange) -> str:
        path = exchange.path.rstrip("/") or "/"
        return f"{self._base}/{exchange.stage.name}/{exchange.request.method}{path}"


def _error_message(result: InvocationResult) -> str | None:
    try:
        return orjson.loads(result.payload).get("errorMessage")
    except (orjson.JSONDecodeError, AttributeError):
        return None
