"""Payload format 2.0: function URLs and HTTP APIs. Pure.

Source: API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs"; Lambda Developer Guide,
"Invoking Lambda function URLs"; events recorded from AWS.
"""

from __future__ import annotations

import base64
import time
from typing import Any

import orjson

from gateway.caller import Caller
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.response import BadResponse, HttpResponse, body_of, plain, status_of
from gateway.sigv4 import access_key_of

_TEXT_TYPES = frozenset({"application/json", "application/javascript", "application/xml"})


def request_context(
    request: DoorRequest, *, account: str, api_id: str, route_key: str, stage: str, path: str, request_id: str
) -> dict[str, Any]:
    return {
        "accountId": account,
        "apiId": api_id,
        "domainName": request.host.partition(":")[0],
        "domainPrefix": api_id,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent") or "",
        },
        "requestId": request_id,
        "routeKey": route_key,
        "stage": stage,
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(request.received_at_ms / 1000)),
        "timeEpoch": request.received_at_ms,
    }


def event(request: DoorRequest, context: dict[str, Any], *, raw_path: str) -> dict[str, Any]:
    """What both doors have in common; pathParameters and stageVariables are put behind it by the door."""
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": context["routeKey"],
        "rawPath": raw_path,
        "rawQueryString": request.query,
    }
    cookies, headers = split_cookies(request)
    if cookies:
        made["cookies"] = cookies
    made["headers"] = headers
    if request.parameters:
        made["queryStringParameters"] = {name: ",".join(values) for name, values in request.parameters.items()}
    made["requestContext"] = context
    encoded = False
    if request.body:
        made["body"], encoded = body_text(request.body, request.header("content-type"))
    made["isBase64Encoded"] = encoded
    return made


def iam_identity(caller: Caller, request: DoorRequest) -> dict[str, Any]:
    """Who signed the request, as requestContext.authorizer.iam tells it."""
    return {
        "accessKey": access_key_of(request.signed),
        "accountId": caller.account,
        "callerId": caller.user_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.arn,
        "userId": caller.user_id,
    }


def split_cookies(request: DoorRequest) -> tuple[list[str], dict[str, str]]:
    """Cookies one by one, and the other headers with several values joined."""
    cookies: list[str] = []
    headers: dict[str, str] = {}
    for name, value in request.headers:
        if name == "cookie":
            cookies += [part.strip() for part in value.split(";") if part.strip()]
        else:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return cookies, headers


def body_text(body: bytes, content_type: str | None) -> tuple[str, bool]:
    """The body as the event carries it, and whether that is base64."""
    if is_text(content_type):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # not what it says it is
    return base64.b64encode(body).decode(), True


def is_text(content_type: str | None) -> bool:
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml"))


def response(payload: bytes, *, default_type: str) -> HttpResponse:
    """From what the function returned. default_type: of a body whose function named none. Raises BadResponse."""
    try:
        value = orjson.loads(payload or b"null")
    except orjson.JSONDecodeError as exc:
        raise BadResponse("not JSON") from exc
    if not isinstance(value, dict) or "statusCode" not in value:
        # the format is inferred: anything is a body, written anew without spaces, a string without its quotes
        body = value.encode() if isinstance(value, str) else orjson.dumps(value)
        return HttpResponse(200, [("content-type", "application/json")], body)
    return from_members(value, body_of(value), default_type=default_type)


def from_members(value: dict[str, Any], body: bytes, *, default_type: str) -> HttpResponse:
    """statusCode, headers and cookies of a response object. Raises BadResponse."""
    given = value.get("headers") or {}
    if not isinstance(given, dict):
        raise BadResponse("headers is not an object")
    headers = [(str(name).lower(), plain(one)) for name, one in given.items()]
    cookies = value.get("cookies") or []
    if not isinstance(cookies, list):
        raise BadResponse("cookies is not a list")
    headers += [("set-cookie", plain(one)) for one in cookies]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", default_type))
    return HttpResponse(status_of(value), headers, body)
