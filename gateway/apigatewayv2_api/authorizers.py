"""Authorizers of HTTP APIs: a function that decides (REQUEST), or a token that an issuer has signed (JWT)."""

from __future__ import annotations

from typing import Any

from gateway.api_documents import Draft, bad_request, conflict
from gateway.apigatewayv2_api.parts import Part
from gateway.front_doors.function_uri import BadUri, check_uri

MAX_TTL_S = 3600


def _complete(draft: Draft, authorizer: dict[str, Any], given: dict[str, Any]) -> None:
    if any(
        other["Name"] == authorizer["Name"] and other["AuthorizerId"] != authorizer["AuthorizerId"]
        for other in draft.document["Authorizers"].values()
    ):
        raise bad_request(f"Authorizer name must be unique. Authorizer {authorizer['Name']} already exists in this API")
    match authorizer["AuthorizerType"]:
        case "JWT":
            _check_jwt(authorizer)
        case "REQUEST":
            _check_request(authorizer)
        case other:
            raise bad_request(f"Invalid authorizer type specified: {other}. Supported types: REQUEST, JWT")


def _check_jwt(authorizer: dict[str, Any]) -> None:
    settings = authorizer.get("JwtConfiguration") or {}
    if not settings.get("Audience"):
        raise bad_request("Audience is required for JWT authorizers")
    if not str(settings.get("Issuer", "")).startswith(("https://", "http://")):
        raise bad_request(f"Invalid issuer: {settings.get('Issuer')}. Issuer must be an HTTP or HTTPS URL")
    if len(authorizer["IdentitySource"]) != 1:
        raise bad_request("JWT authorizers must have exactly one identity source")


def _check_request(authorizer: dict[str, Any]) -> None:
    version = authorizer.get("AuthorizerPayloadFormatVersion")
    if version not in ("1.0", "2.0"):
        raise bad_request("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer: 1.0 or 2.0")
    if authorizer.get("EnableSimpleResponses") and version != "2.0":
        raise bad_request("EnableSimpleResponses is only supported for AuthorizerPayloadFormatVersion 2.0")
    authorizer.setdefault("EnableSimpleResponses", False)
    ttl_s = authorizer.get("AuthorizerResultTtlInSeconds", 0)
    if not 0 <= ttl_s <= MAX_TTL_S:
        raise bad_request(f"AuthorizerResultTtlInSeconds must be between 0 and {MAX_TTL_S}")
    if ttl_s and not authorizer["IdentitySource"]:
        raise bad_request("Identity source is required if caching is enabled")
    try:
        check_uri(authorizer.get("AuthorizerUri", ""))
    except BadUri as exc:
        raise bad_request(f"Invalid Authorizer URI: {exc}") from exc


def _refuse_removal(draft: Draft, authorizer: dict[str, Any]) -> None:
    for route in draft.document["Routes"].values():
        if route.get("AuthorizerId") == authorizer["AuthorizerId"]:
            raise conflict(f"Cannot delete authorizer '{authorizer['Name']}'. It is referenced by a route.")


AUTHORIZERS = Part("Authorizer", "Authorizers", "AuthorizerId", _complete, _refuse_removal)
