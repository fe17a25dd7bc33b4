"""Integrations of HTTP APIs: the function, or the HTTP server, behind a route."""

from __future__ import annotations

from typing import Any

from gateway.api_documents import Draft, bad_request, conflict
from gateway.apigatewayv2_api.parts import Part
from gateway.front_doors.function_uri import BadUri, check_uri

MAX_TIMEOUT_MS = 30_000
MIN_TIMEOUT_MS = 50


def checked(integration: dict[str, Any]) -> dict[str, Any]:
    """With the members that AWS fills in. Raises BadRequestException."""
    kind = integration["IntegrationType"]
    if kind not in ("AWS_PROXY", "HTTP_PROXY"):
        raise bad_request("HTTP protocol APIs can only have integrations of type AWS_PROXY or HTTP_PROXY")
    if integration.get("IntegrationSubtype"):
        raise bad_request("Integrations with AWS services by IntegrationSubtype are not offered here: use a function.")
    uri = integration.get("IntegrationUri")
    if not uri:
        raise bad_request("Integration URI must be specified")
    version = integration.setdefault("PayloadFormatVersion", "1.0")
    if version not in ("1.0", "2.0"):
        raise bad_request(f"PayloadFormatVersion is not supported: {version}")
    if kind == "AWS_PROXY":
        integration.setdefault("IntegrationMethod", "POST")
        try:
            check_uri(uri)
        except BadUri as exc:
            raise bad_request(f"Invalid integration URI specified: {exc}") from exc
    else:
        if version != "1.0":
            raise bad_request("PayloadFormatVersion of HTTP_PROXY integrations must be 1.0")
        if "IntegrationMethod" not in integration:
            raise bad_request("HttpMethod must be specified for HTTP_PROXY integrations")
        if not uri.startswith(("http://", "https://")):
            raise bad_request("Invalid HTTP endpoint specified for URI")
    integration.setdefault("ConnectionType", "INTERNET")
    timeout_ms = integration.setdefault("TimeoutInMillis", MAX_TIMEOUT_MS)
    if not MIN_TIMEOUT_MS <= timeout_ms <= MAX_TIMEOUT_MS:
        raise bad_request(f"Timeout should be between {MIN_TIMEOUT_MS} ms and {MAX_TIMEOUT_MS} ms")
    return integration


def _complete(draft: Draft, integration: dict[str, Any], given: dict[str, Any]) -> None:
    checked(integration)


def _refuse_removal(draft: Draft, integration: dict[str, Any]) -> None:
    target = f"integrations/{integration['IntegrationId']}"
    for route in draft.document["Routes"].values():
        if route.get("Target") == target:
            raise conflict(f"Cannot delete Integration '{integration['IntegrationId']}'. Referenced by a route.")


INTEGRATIONS = Part("Integration", "Integrations", "IntegrationId", _complete, _refuse_removal)
