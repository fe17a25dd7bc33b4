"""HTTP APIs at work: a request finds its stage, its route and its integration.

Compiled from the API's document when that is first asked for, and anew after every change. Texts of refusals are
API Gateway's. Source: API Gateway Developer Guide, "HTTP APIs".
"""

from __future__ import annotations

import base64
import logging
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gateway.front_doors import functions, http_proxy, payload_v1, payload_v2
from gateway.front_doors.api import MAX_BODY_BYTES, ApiName, forward
from gateway.front_doors.cors import Cors
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.function_uri import BadUri
from gateway.front_doors.http_access import authorise
from gateway.front_doors.http_exchange import DEFAULT, Exchange, Refused, Stage
from gateway.front_doors.jwt_authorizer import IssuerKeys
from gateway.front_doors.outbound import Unreachable
from gateway.front_doors.response import BadResponse, HttpResponse, json_answer
from gateway.http import Answer
from hearth.errors import HearthError, InvocationTimedOut
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store.apis import ApiRecord

if TYPE_CHECKING:
    from gateway.backends import Backends

log = logging.getLogger(__name__)

#: where a function names no type
_TEXT = "text/plain;charset=UTF-8"


class HttpApi:
    """One API. keys: the issuers' keys that all APIs of the process share."""

    def __init__(self, record: ApiRecord, snapshots: dict[str, dict[str, Any]], keys: IssuerKeys) -> None:
        document = record.document
        self.region = record.region
        self.revision = record.revision
        self._name = ApiName.of(record)
        self._disabled = document["Api"].get("DisableExecuteApiEndpoint", False)
        self._cors = Cors.read(document["Api"].get("CorsConfiguration"))
        self._keys = keys
        self._stages: dict[str, Stage] = {}
        for name, members in document["Stages"].items():
            parts = document if members.get("AutoDeploy") else snapshots.get(members.get("DeploymentId", ""))
            if parts is not None:
                self._stages[name] = Stage(members, parts)

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
            await authorise(backends, exchange, self._keys)
            response = await _integrate(backends, exchange)
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

    def _matched(self, request: DoorRequest, request_id: str) -> Exchange:
        """Raises Refused."""
        if self._disabled:
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
        return Exchange(self._name, request, stage, route, path, shown, parameters, request_id, {})

    def _stage_of(self, path: str) -> tuple[Stage, str]:
        """A path's first segment, if it names a stage; else the default stage takes it whole. Raises Refused."""
        first, slash, rest = path[1:].partition("/")
        stage = self._stages.get(unquote(first))
        if stage is not None:
            return stage, f"/{rest}" if slash else "/"
        if (default := self._stages.get(DEFAULT)) is not None:
            return default, path
        raise Refused(404, "Not Found")


async def _integrate(backends: Backends, exchange: Exchange) -> HttpResponse:
    """Raises Refused, BadResponse."""
    integration = exchange.route.integration
    if integration is None:
        raise Refused(500, "Internal Server Error")
    if integration["IntegrationType"] == "HTTP_PROXY":
        return await _forward(backends, exchange, integration)
    second = integration.get("PayloadFormatVersion") == "2.0"
    try:
        result = await exchange.api.run(
            backends,
            exchange.request,
            integration["IntegrationUri"],
            exchange.stage.variables,
            exchange.event_v2() if second else exchange.event_v1(),
            arns=exchange.arns,
            role=integration.get("CredentialsArn", ""),
            timeout_s=_timeout_s(integration),
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
    return _response(result, second=second)


async def _forward(backends: Backends, exchange: Exchange, integration: dict[str, Any]) -> HttpResponse:
    """Raises Refused."""
    try:
        return await forward(
            backends,
            exchange.request,
            integration["IntegrationUri"],
            integration.get("IntegrationMethod", "ANY"),
            parameters=exchange.parameters,
            variables=exchange.stage.variables,
            timeout_s=_timeout_s(integration),
        )
    except http_proxy.TimedOut as exc:
        raise Refused(504, "Gateway Timeout") from exc
    except Unreachable as exc:
        log.warning("an HTTP integration failed", extra={"action": "http_proxy_failed", "error": str(exc)})
        raise Refused(500, "Internal Server Error") from exc


def _timeout_s(integration: dict[str, Any]) -> float:
    return integration.get("TimeoutInMillis", 30_000) / 1000


def _response(result: InvocationResult, *, second: bool) -> HttpResponse:
    """Raises Refused, BadResponse."""
    match result.outcome:
        case Outcome.OK if second:
            return payload_v2.response(result.payload, default_type=_TEXT)
        case Outcome.OK:
            return payload_v1.response(result.payload, decode=True, default_type=_TEXT)
        case Outcome.FUNCTION_ERROR:
            raise Refused(500, "Internal Server Error")
    raise Refused(503, "Service Unavailable")
