"""Who may use a route of an HTTP API: signatures, tokens, Lambda authorizers.

Source: API Gateway Developer Guide, "Control and manage access to HTTP APIs".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gateway.front_doors import functions, jwt_authorizer, payload_v2
from gateway.front_doors.authorizers import Decision, Misconfigured, policy_decision, simple_decision
from gateway.front_doors.function_uri import BadUri
from gateway.front_doors.http_exchange import Exchange, Refused
from gateway.front_doors.jwt_authorizer import IssuerKeys
from hearth.errors import HearthError
from hearth.model.invocation import Outcome
from hearth.policies import Verdict

if TYPE_CHECKING:
    from gateway.backends import Backends

log = logging.getLogger(__name__)

#: of an event, what an authorizer is not shown
_NOT_SHOWN = ("version", "body", "isBase64Encoded")


async def authorise(backends: Backends, exchange: Exchange, keys: IssuerKeys) -> None:
    """Leave in the exchange what the route's authorizer gave. Raises Refused."""
    match exchange.route.members.get("AuthorizationType", "NONE"):
        case "AWS_IAM":
            exchange.authorizer = {"iam": _signed_by(backends, exchange)}
        case "JWT":
            exchange.authorizer = {"jwt": await _token(exchange, keys)}
        case "CUSTOM":
            await _ask_function(backends, exchange)


def _signed_by(backends: Backends, exchange: Exchange) -> dict[str, Any]:
    """Raises Refused."""
    try:
        caller = exchange.api.signed_by(backends, exchange.request, exchange.arn)
    except HearthError as exc:
        raise Refused(403, "Forbidden") from exc
    return payload_v2.iam_identity(caller, exchange.request)


async def _token(exchange: Exchange, keys: IssuerKeys) -> dict[str, Any]:
    """Raises Refused."""
    authorizer = exchange.route.authorizer or {}
    settings = authorizer.get("JwtConfiguration") or {}
    scopes = exchange.route.members.get("AuthorizationScopes") or []
    token = _identity(authorizer, exchange)
    try:
        claims, held = await jwt_authorizer.claims_of(
            token[0] if token else None,
            keys,
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


async def _ask_function(backends: Backends, exchange: Exchange) -> None:
    """Raises Refused."""
    route = exchange.route
    authorizer = route.authorizer
    if authorizer is None:
        raise Refused(500, "Internal Server Error")
    identity = _identity(authorizer, exchange)
    if identity is None:
        raise Refused(401, "Unauthorized")
    decision = route.decisions.find(identity)
    if decision is None:
        decision = await _decided(backends, exchange, authorizer, identity)
        route.decisions.keep(identity, decision)
    if decision.verdict(exchange.arn, exchange.request.source_ip) is not Verdict.ALLOWED:
        raise Refused(403, "Forbidden")
    exchange.authorizer = {"lambda": decision.context}
    exchange.principal_id = decision.principal_id


async def _decided(
    backends: Backends, exchange: Exchange, authorizer: dict[str, Any], identity: tuple[str, ...]
) -> Decision:
    """Raises Refused."""
    try:
        result = await exchange.api.ask(
            backends,
            exchange.request,
            authorizer["AuthorizerId"],
            authorizer["AuthorizerUri"],
            exchange.stage.variables,
            _question(exchange, authorizer, identity),
            role=authorizer.get("AuthorizerCredentialsArn", ""),
        )
        if result.outcome is not Outcome.OK:
            raise Misconfigured(result.detail)
        if authorizer.get("EnableSimpleResponses"):
            return simple_decision(result.payload)
        return policy_decision(result.payload, text_context=False)
    except (Misconfigured, BadUri, functions.FunctionMissing, functions.PayloadTooLarge, HearthError) as exc:
        log.warning("an authorizer failed", extra={"action": "authorizer_failed", "error": str(exc)})
        raise Refused(500, "Internal Server Error") from exc


def _question(exchange: Exchange, authorizer: dict[str, Any], identity: tuple[str, ...]) -> dict[str, Any]:
    """The authorizer's event, in the format that it asks for."""
    asked: dict[str, Any]
    if authorizer.get("AuthorizerPayloadFormatVersion") == "2.0":
        event = exchange.event_v2()
        asked = {
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": exchange.arn,
            "identitySource": list(identity) or None,
        }
    else:
        event = exchange.event_v1()
        token = ",".join(identity)
        asked = {"version": "1.0", "type": "REQUEST", "methodArn": exchange.arn}
        asked |= {"identitySource": token, "authorizationToken": token}
    return asked | {name: value for name, value in event.items() if name not in _NOT_SHOWN}


def _identity(authorizer: dict[str, Any], exchange: Exchange) -> tuple[str, ...] | None:
    """The values of the identity sources; None if one is missing."""
    values = []
    for source in authorizer.get("IdentitySource") or []:
        value = exchange.selected(source)
        if not value:
            return None
        values.append(value)
    return tuple(values)
