"""REST APIs at work: a request finds its stage, its resource's method and its integration.

Offered are Lambda proxies, HTTP proxies and mocks; mapping templates are not run.
Source: API Gateway Developer Guide, "REST APIs"; refusals as recorded from AWS.
"""

from __future__ import annotations

import base64
import logging
import re
import secrets
from typing import TYPE_CHECKING, Any

import orjson

from gateway.front_doors import functions, gateway_responses, http_proxy, payload_v1
from gateway.front_doors.api import MAX_BODY_BYTES, ApiName, forward
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.function_uri import BadUri
from gateway.front_doors.gateway_responses import Refused
from gateway.front_doors.outbound import Unreachable
from gateway.front_doors.response import BadResponse, HttpResponse, json_answer
from gateway.front_doors.rest_access import authorise
from gateway.front_doors.rest_exchange import Exchange, Stage
from gateway.http import Answer
from hearth.errors import HearthError, InvocationTimedOut
from hearth.model.invocation import Outcome
from hearth.store.apis import ApiRecord

if TYPE_CHECKING:
    from gateway.backends import Backends

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_MS = 29_000


class RestApi:
    """One API."""

    def __init__(self, record: ApiRecord, snapshots: dict[str, dict[str, Any]]) -> None:
        self.region = record.region
        self.revision = record.revision
        self._name = ApiName.of(record)
        self._disabled = record.document["api"].get("disableExecuteApiEndpoint", False)
        self._stages = {
            name: Stage(members, snapshots[members["deploymentId"]])
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
        self, backends: Backends, request: DoorRequest, stage: Stage, path: str, extended_id: str
    ) -> Answer:
        try:
            match = stage.methods.match(request.method, path, trailing_slash=True)
            if match is None:
                raise Refused("MISSING_AUTHENTICATION_TOKEN")
            exchange = Exchange(self._name, request, stage, match.target, path, match.parameters, extended_id)
            if len(request.body) > MAX_BODY_BYTES:
                raise Refused("REQUEST_TOO_LARGE")
            await authorise(backends, exchange)
            _check_parameters(exchange)
            return (await _integrate(backends, exchange)).answer()
        except Refused as refusal:
            return gateway_responses.rendered(refusal, stage.responses, request.request_id).answer()
        except BadResponse as exc:
            log.warning("bad answer of an integration", extra={"action": "bad_integration_answer", "error": str(exc)})
            return gateway_responses.rendered(
                Refused("INTEGRATION_FAILURE"), stage.responses, request.request_id
            ).answer()


def _check_parameters(exchange: Exchange) -> None:
    missing = [name.rpartition(".")[2] for name in exchange.method.required if exchange.selected(name) is None]
    if missing:
        raise Refused("BAD_REQUEST_PARAMETERS", f"Missing required request parameters: [{', '.join(missing)}]")


async def _integrate(backends: Backends, exchange: Exchange) -> HttpResponse:
    """Raises Refused, BadResponse."""
    integration = exchange.method.members["methodIntegration"]
    match integration["type"]:
        case "AWS_PROXY" if integration.get("httpMethod") == "POST":
            return await _function(backends, exchange, integration)
        case "HTTP_PROXY":
            return await _forward(backends, exchange, integration)
        case "MOCK":
            return _mock(exchange, integration)
    # Lambda takes POST only; integrations with mapping templates are not offered
    raise Refused("API_CONFIGURATION_ERROR")


async def _function(backends: Backends, exchange: Exchange, integration: dict[str, Any]) -> HttpResponse:
    event = exchange.event()
    _map_request(exchange, integration, event)
    try:
        result = await exchange.api.run(
            backends,
            exchange.request,
            integration["uri"],
            exchange.stage.variables,
            event,
            arns=exchange.arns,
            role=integration.get("credentials", ""),
            timeout_s=_timeout_s(integration),
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


def _map_request(exchange: Exchange, integration: dict[str, Any], event: dict[str, Any]) -> None:
    """The integration's request parameters, as headers and parameters of the event."""
    for target, source in (integration.get("requestParameters") or {}).items():
        value = exchange.selected(source)
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


async def _forward(backends: Backends, exchange: Exchange, integration: dict[str, Any]) -> HttpResponse:
    parameters = dict(exchange.parameters)
    for target, source in (integration.get("requestParameters") or {}).items():
        if target.startswith("integration.request.path."):
            parameters[target.rpartition(".")[2]] = exchange.selected(source) or ""
    try:
        return await forward(
            backends,
            exchange.request,
            integration["uri"],
            integration.get("httpMethod", "ANY"),
            parameters=parameters,
            variables=exchange.stage.variables,
            timeout_s=_timeout_s(integration),
        )
    except http_proxy.TimedOut as exc:
        raise Refused("INTEGRATION_TIMEOUT") from exc
    except Unreachable as exc:
        log.warning("an HTTP integration failed", extra={"action": "http_proxy_failed", "error": str(exc)})
        raise Refused("API_CONFIGURATION_ERROR") from exc


def _mock(exchange: Exchange, integration: dict[str, Any]) -> HttpResponse:
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
        value = exchange.selected(source)
        if target.startswith("method.response.header.") and value is not None:
            headers.append((target.removeprefix("method.response.header."), value))
    body = (chosen.get("responseTemplates") or {}).get("application/json") or ""
    return HttpResponse(int(chosen["statusCode"]), headers, body.encode())


def _timeout_s(integration: dict[str, Any]) -> float:
    return integration.get("timeoutInMillis", DEFAULT_TIMEOUT_MS) / 1000
