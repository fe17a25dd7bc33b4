"""Routes of HTTP APIs: which requests go to which integration, and who may make them."""

from __future__ import annotations

import re
from typing import Any

from gateway.api_documents import Draft, bad_request, conflict, not_found
from gateway.apigatewayv2_api.parts import Part

METHODS = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
AUTHORIZATION_TYPES = ("NONE", "AWS_IAM", "CUSTOM", "JWT")
_KEY = re.compile(rf"(?:{'|'.join(METHODS)}) (/\S*)")
_SEGMENT = re.compile(r"[^{}]*|\{[\w.:-]+\+?\}")


def checked_key(key: str) -> str:
    """`$default` or `METHOD /path`. Raises BadRequestException."""
    if key == "$default":
        return key
    parts = _KEY.fullmatch(key)
    if parts is None:
        raise bad_request(
            "The provided route key is not formatted properly for HTTP protocol. Format should be "
            '"<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
        )
    segments = parts[1].split("/")[1:]
    if not all(_SEGMENT.fullmatch(segment) for segment in segments) or any("+}" in one for one in segments[:-1]):
        raise bad_request(f"Invalid route key specified: {key}")
    return key


def _complete(draft: Draft, route: dict[str, Any], given: dict[str, Any]) -> None:
    route.setdefault("ApiKeyRequired", False)
    route.setdefault("AuthorizationType", "NONE")
    checked_key(route["RouteKey"])
    for other in draft.document["Routes"].values():
        if other["RouteKey"] == route["RouteKey"] and other["RouteId"] != route["RouteId"]:
            raise conflict(f"Route with key {route['RouteKey']} already exists for this API")
    if route["AuthorizationType"] not in AUTHORIZATION_TYPES:
        raise bad_request(f"Invalid authorization type specified: {route['AuthorizationType']}")
    if target := route.get("Target"):
        kind, _, integration = target.partition("/")
        if kind != "integrations" or integration not in draft.document["Integrations"]:
            raise not_found(f"Invalid integration target specified: {target}")
    if route["AuthorizationType"] in ("CUSTOM", "JWT"):
        authorizer = draft.document["Authorizers"].get(route.get("AuthorizerId", ""))
        if authorizer is None:
            raise bad_request(f"Authorizer {route.get('AuthorizerId')} not found for this API")
        wanted = "JWT" if route["AuthorizationType"] == "JWT" else "REQUEST"
        if authorizer["AuthorizerType"] != wanted:
            raise bad_request(f"Authorizer type does not match authorization type {route['AuthorizationType']}")
    elif given.get("AuthorizationType") in ("NONE", "AWS_IAM"):
        route.pop("AuthorizerId", None)
        route.pop("AuthorizationScopes", None)


ROUTES = Part("Route", "Routes", "RouteId", _complete)
