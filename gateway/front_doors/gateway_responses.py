"""What REST APIs answer themselves, and what an API has set in the place of it. Pure.

Source: API Gateway Developer Guide, "Gateway response types". Of a template's variables those of the error are filled
in, and the request's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.front_doors.response import HttpResponse


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    message: str | None
    error_type: str
    member: str = "message"


_KINDS = {
    "ACCESS_DENIED": _Kind(403, "User is not authorized to access this resource", "AccessDeniedException", "Message"),
    "API_CONFIGURATION_ERROR": _Kind(500, "Internal server error", "InternalServerErrorException"),
    "AUTHORIZER_CONFIGURATION_ERROR": _Kind(500, None, "AuthorizerConfigurationException"),
    "AUTHORIZER_FAILURE": _Kind(500, None, "AuthorizerConfigurationException"),
    "BAD_REQUEST_PARAMETERS": _Kind(400, "Missing required request parameters", "BadRequestException"),
    "INTEGRATION_TIMEOUT": _Kind(504, "Endpoint request timed out", "InternalServerErrorException"),
    "INTEGRATION_FAILURE": _Kind(502, "Internal server error", "InternalServerErrorException"),
    "INVALID_API_KEY": _Kind(403, "Forbidden", "ForbiddenException"),
    "INVALID_SIGNATURE": _Kind(403, "The request signature we calculated does not match", "InvalidSignatureException"),
    "MISSING_AUTHENTICATION_TOKEN": _Kind(403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    "REQUEST_TOO_LARGE": _Kind(413, "HTTP content length exceeded 10485760 bytes.", "RequestTooLargeException"),
    "UNAUTHORIZED": _Kind(401, "Unauthorized", "UnauthorizedException"),
}


class Refused(Exception):
    """The API itself answers. kind: a gateway response type; message: in the place of the kind's own."""

    def __init__(self, kind: str, message: str | None = None) -> None:
        super().__init__(message or kind)
        self.kind = kind
        self.message = message if message is not None else _KINDS[kind].message


def rendered(refusal: Refused, own: dict[str, dict[str, Any]], request_id: str) -> HttpResponse:
    """own: the API's gateway responses by type."""
    kind = _KINDS[refusal.kind]
    status = kind.status
    custom = own.get(refusal.kind) or own.get("DEFAULT_4XX" if status < 500 else "DEFAULT_5XX") or {}
    headers = [("content-type", "application/json"), ("x-amzn-errortype", kind.error_type)]
    for name, value in (custom.get("responseParameters") or {}).items():
        if name.startswith("gatewayresponse.header.") and value.startswith("'"):
            headers.append((name.removeprefix("gatewayresponse.header."), value.strip("'")))
    if custom.get("statusCode"):
        status = int(custom["statusCode"])
    template = (custom.get("responseTemplates") or {}).get("application/json")
    if template is None:
        return HttpResponse(status, headers, orjson.dumps({kind.member: refusal.message}))
    text = refusal.message or ""
    for variable, value in (
        ("$context.error.messageString", orjson.dumps(refusal.message).decode()),
        ("$context.error.message", text),
        ("$context.error.responseType", refusal.kind),
        ("$context.requestId", request_id),
    ):
        template = template.replace(variable, value)
    return HttpResponse(status, headers, template.encode())
