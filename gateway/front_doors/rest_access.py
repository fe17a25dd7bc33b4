"""Who may use a method of a REST API: signatures, Lambda authorizers, the API's resource policy.

Source: API Gateway Developer Guide, "Control and manage access to REST APIs".
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import orjson

from gateway.caller import Caller
from gateway.front_doors import functions
from gateway.front_doors.authorizers import ACTION, Decision, Misconfigured, policy_decision
from gateway.front_doors.function_uri import BadUri
from gateway.front_doors.gateway_responses import Refused
from gateway.front_doors.rest_exchange import Exchange
from hearth.errors import AccessDenied, HearthError
from hearth.model.invocation import InvocationResult, Outcome
from hearth.policies import Access, Verdict, decide

if TYPE_CHECKING:
    from gateway.backends import Backends

log = logging.getLogger(__name__)


async def authorise(backends: Backends, exchange: Exchange) -> None:
    """Leave in the exchange who called and what the method's authorizer gave. Raises Refused."""
    members = exchange.method.members
    match members["authorizationType"]:
        case "AWS_IAM":
            exchange.caller = _signed_by(backends, exchange)
        case "CUSTOM":
            await _ask_function(backends, exchange)
    if exchange.stage.policy is not None:
        _check_policy(exchange, exchange.stage.policy)
    if members.get("apiKeyRequired"):
        raise Refused("INVALID_API_KEY")


def _signed_by(backends: Backends, exchange: Exchange) -> Caller:
    """Raises Refused."""
    try:
        return exchange.api.signed_by(backends, exchange.request, exchange.arn)
    except AccessDenied as exc:
        raise Refused("ACCESS_DENIED", exc.message or None) from exc
    except HearthError as exc:
        if exc.code == "MissingAuthenticationTokenException":
            raise Refused("MISSING_AUTHENTICATION_TOKEN") from exc
        raise Refused("INVALID_SIGNATURE", exc.message) from exc


def _check_policy(exchange: Exchange, policy: dict[str, Any]) -> None:
    """The API's resource policy, in which execute-api:/... stands for the API itself."""
    text = orjson.dumps(policy).decode().replace('"execute-api:/', f'"{exchange.api.arn}/')
    arn = exchange.arn
    access = Access(ACTION, arn, context={"aws:sourceip": exchange.request.source_ip})
    if decide([orjson.loads(text)], access, resource_based=True) is not Verdict.ALLOWED:
        raise Refused("ACCESS_DENIED", f"User: anonymous is not authorized to perform: {ACTION} on resource: {arn}")


async def _ask_function(backends: Backends, exchange: Exchange) -> None:
    authorizer = exchange.method.authorizer
    if authorizer is None:
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR")
    identity = _identity(authorizer, exchange)
    arn = exchange.arn
    decision = exchange.method.decisions.find(identity)
    if decision is None:
        decision = await _decided(backends, exchange, authorizer, identity, arn)
        exchange.method.decisions.keep(identity, decision)
    match decision.verdict(arn, exchange.request.source_ip):
        case Verdict.EXPLICIT_DENY:
            raise Refused("ACCESS_DENIED", "User is not authorized to access this resource with an explicit deny")
        case Verdict.IMPLICIT_DENY:
            raise Refused("ACCESS_DENIED")
    exchange.authorizer = {**decision.context, "principalId": decision.principal_id, "integrationLatency": 0}


async def _decided(
    backends: Backends, exchange: Exchange, authorizer: dict[str, Any], identity: tuple[str, ...], arn: str
) -> Decision:
    if authorizer["type"] == "TOKEN":
        asked: dict[str, Any] = {"type": "TOKEN", "methodArn": arn, "authorizationToken": identity[0]}
    else:
        event = exchange.event()
        del event["body"], event["isBase64Encoded"]
        asked = {"type": "REQUEST", "methodArn": arn, **event}
    try:
        result = await exchange.api.ask(
            backends,
            exchange.request,
            authorizer["id"],
            authorizer["authorizerUri"],
            exchange.stage.variables,
            asked,
            role=authorizer.get("authorizerCredentials", ""),
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


def _identity(authorizer: dict[str, Any], exchange: Exchange) -> tuple[str, ...]:
    """The values of the identity sources. Raises Refused if one is missing, or the token isn't one."""
    values = []
    for source in filter(None, (one.strip() for one in (authorizer.get("identitySource") or "").split(","))):
        value = exchange.selected(source)
        if not value:
            raise Refused("UNAUTHORIZED")
        values.append(value)
    expression = authorizer.get("identityValidationExpression")
    if expression and authorizer["type"] == "TOKEN" and not re.fullmatch(expression, values[0]):
        raise Refused("UNAUTHORIZED")
    return tuple(values)


def _error_message(result: InvocationResult) -> str | None:
    try:
        return orjson.loads(result.payload).get("errorMessage")
    except (orjson.JSONDecodeError, AttributeError):
        return None
