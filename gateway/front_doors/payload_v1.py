"""Payload format 1.0: REST APIs, and HTTP APIs that ask for it. Pure.

The header names' case is lost on the way; they come in the case that HTTP/1.1 clients usually send (Content-Type).
Source: API Gateway Developer Guide, "Set up Lambda proxy integrations in API Gateway"; events and answers recorded
from AWS.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from typing import Any

import orjson

from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.response import BadResponse, HttpResponse, body_of, plain, status_of

_MEMBERS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "cookies"})
#: parts of header names that are no ordinary words
_WORDS = {"etag": "ETag", "te": "TE", "dnt": "DNT", "www": "WWW"}


def request_context(
    request: DoorRequest,
    *,
    account: str,
    api_id: str,
    stage: str,
    path: str,
    request_id: str,
    resource_path: str,
    resource_id: str,
) -> dict[str, Any]:
    """path: with the stage."""
    return {
        "accountId": account,
        "apiId": api_id,
        "domainName": request.host.partition(":")[0],
        "domainPrefix": api_id,
        "extendedRequestId": request_id,
        "httpMethod": request.method,
        "identity": {
            "accessKey": None,
            "accountId": None,
            "caller": None,
            "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None,
            "cognitoIdentityId": None,
            "cognitoIdentityPoolId": None,
            "principalOrgId": None,
            "sourceIp": request.source_ip,
            "user": None,
            "userAgent": request.header("user-agent"),
            "userArn": None,
        },
        "path": path,
        "protocol": request.protocol,
        "requestId": request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(request.received_at_ms / 1000)),
        "requestTimeEpoch": request.received_at_ms,
        "resourceId": resource_id,
        "resourcePath": resource_path,
        "stage": stage,
    }


def event(
    request: DoorRequest,
    context: dict[str, Any],
    *,
    resource: str,
    path: str,
    path_parameters: dict[str, str],
    stage_variables: dict[str, str],
    base64_body: bool,
) -> dict[str, Any]:
    multi: dict[str, list[str]] = {}
    for name, value in request.headers:
        multi.setdefault(header_case(name), []).append(value)
    body = None
    if request.body:
        body = base64.b64encode(request.body).decode() if base64_body else request.body.decode("utf-8", "replace")
    return {
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        # of several values the last
        "headers": {name: values[-1] for name, values in multi.items()},
        "multiValueHeaders": multi,
        "queryStringParameters": {name: values[-1] for name, values in request.parameters.items()} or None,
        "multiValueQueryStringParameters": request.parameters or None,
        "pathParameters": path_parameters or None,
        "stageVariables": stage_variables or None,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": bool(request.body) and base64_body,
    }


def header_case(name: str) -> str:
    return "-".join(_WORDS.get(part) or part.capitalize() for part in name.split("-"))


def response(payload: bytes, *, decode: bool, default_type: str = "application/json") -> HttpResponse:
    """From what the function returned; decode: a body that says it is base64 leaves as bytes. Raises BadResponse."""
    try:
        value = orjson.loads(payload or b"null")
    except orjson.JSONDecodeError as exc:
        raise BadResponse("not JSON") from exc
    if not isinstance(value, dict) or not value or not _MEMBERS.issuperset(value):
        raise BadResponse("not a response object")
    headers = _headers(value)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", default_type))
    body = body_of(value if decode else {**value, "isBase64Encoded": False})
    return HttpResponse(status_of(value), headers, body)


def _headers(value: dict[str, Any]) -> list[tuple[str, str]]:
    """multiValueHeaders first, then those of headers that aren't the same again."""
    multi, single = value.get("multiValueHeaders") or {}, value.get("headers") or {}
    if not isinstance(multi, dict) or not isinstance(single, dict):
        raise BadResponse("headers are not an object")
    headers: list[tuple[str, str]] = []
    for name, values in multi.items():
        if not isinstance(values, list):
            raise BadResponse(f"multiValueHeaders {name}")
        headers += [(name, plain(one)) for one in values]
    told = {(name.lower(), one) for name, one in headers}
    headers += [(name, plain(one)) for name, one in single.items() if (name.lower(), plain(one)) not in told]
    return headers


def matches_type(types: Iterable[str], wanted: str | None) -> bool:
    """Whether a media type, the first of an Accept header too, is among `types`, which may hold `image/*` or `*/*`."""
    kind = (wanted or "").partition(",")[0].partition(";")[0].strip().lower()
    main = kind.partition("/")[0]
    return any(one.lower() in (kind, f"{main}/*", "*/*") for one in types)
