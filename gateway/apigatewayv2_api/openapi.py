"""ImportApi and ReimportApi: an OpenAPI 3.0 document with x-amazon-apigateway extensions becomes an HTTP API.

Source: API Gateway Developer Guide, "Working with OpenAPI definitions for HTTP APIs".
"""

from __future__ import annotations

from typing import Any

import yaml

from gateway.api_documents import Draft, bad_request, change, create, new_id
from gateway.apigatewayv2_api.apis import answer, new_document
from gateway.apigatewayv2_api.authorizers import AUTHORIZERS
from gateway.apigatewayv2_api.deployments import auto_deploy
from gateway.apigatewayv2_api.integrations import checked as checked_integration
from gateway.apigatewayv2_api.routes import METHODS, ROUTES
from gateway.call import Call

_ANY = "x-amazon-apigateway-any-method"
_DEFAULT = "$default"


async def import_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    specification = parse(given["Body"])

    def draft_of(api_id: str) -> Draft:
        info = specification.get("info") or {}
        draft = Draft(new_document(api_id, {"Name": info.get("title") or api_id, "ProtocolType": "HTTP"}))
        _fill(draft, specification)
        return draft

    draft = await create(call, "HTTP", draft_of)
    return answer(call, draft.document)


async def reimport_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    specification = parse(given["Body"])

    def edit(draft: Draft) -> dict[str, Any]:
        for collection in ("Routes", "Integrations", "Authorizers"):
            draft.document[collection] = {}
        draft.document["Api"]["Name"] = (specification.get("info") or {}).get("title") or draft.document["Api"]["Name"]
        _fill(draft, specification)
        auto_deploy(draft)
        return draft.document

    return answer(call, await change(call, "HTTP", given["ApiId"], edit))


def parse(body: str | bytes) -> dict[str, Any]:
    """JSON or YAML. Raises BadRequestException."""
    try:
        specification = yaml.safe_load(body)
    except yaml.YAMLError as exc:
        raise bad_request(f"Unable to parse API definition because of a malformed document: {exc}") from exc
    if not isinstance(specification, dict) or not isinstance(specification.get("paths") or {}, dict):
        raise bad_request("Invalid OpenAPI input.")
    return specification


def _fill(draft: Draft, specification: dict[str, Any]) -> None:
    api, info = draft.document["Api"], specification.get("info") or {}
    for member, value in (("Description", info.get("description")), ("Version", info.get("version"))):
        if value is not None:
            api[member] = str(value)
    if cors := specification.get("x-amazon-apigateway-cors"):
        api["CorsConfiguration"] = _capitalised(cors)
    authorizers = _authorizers(draft, specification)
    shared = (specification.get("components") or {}).get("x-amazon-apigateway-integrations") or {}
    made: dict[str, str] = {}
    for path, operations in (specification.get("paths") or {}).items():
        for method, operation in operations.items():
            name = "ANY" if method == _ANY else method.upper()
            if name not in METHODS or not isinstance(operation, dict):
                continue
            target = _integration(draft, operation, shared, made)
            key = _DEFAULT if path in (_DEFAULT, "/$default") else f"{name} {path}"
            _route(draft, key, operation, target, authorizers, specification)


def _integration(
    draft: Draft, operation: dict[str, Any], shared: dict[str, Any], made: dict[str, str]
) -> dict[str, str]:
    """{"Target": ...} of the operation's integration, which may be one that several share by $ref."""
    given = operation.get("x-amazon-apigateway-integration")
    if not given:
        return {}
    reference = given.get("$ref", "").rpartition("/")[2]
    if reference in made:
        return {"Target": made[reference]}
    if reference:
        given = shared.get(reference)
        if given is None:
            raise bad_request(f"Unable to resolve the reference to the integration {reference}")
    integration_id = new_id()
    members = {
        "IntegrationType": str(given.get("type", "")).upper(),
        "IntegrationUri": given.get("uri"),
        "IntegrationMethod": given.get("httpMethod"),
        "PayloadFormatVersion": str(given["payloadFormatVersion"]) if "payloadFormatVersion" in given else None,
        "TimeoutInMillis": given.get("timeoutInMillis"),
        "CredentialsArn": given.get("credentials"),
        "RequestParameters": given.get("requestParameters"),
    }
    draft.document["Integrations"][integration_id] = checked_integration(
        {"IntegrationId": integration_id} | {name: value for name, value in members.items() if value is not None}
    )
    target = f"integrations/{integration_id}"
    if reference:
        made[reference] = target
    return {"Target": target}


def _route(
    draft: Draft,
    key: str,
    operation: dict[str, Any],
    target: dict[str, str],
    authorizers: dict[str, str],
    specification: dict[str, Any],
) -> None:
    route_id = new_id()
    route: dict[str, Any] = {"RouteId": route_id, "RouteKey": key, **target}
    if "operationId" in operation:
        route["OperationName"] = operation["operationId"]
    for requirement in operation.get("security", specification.get("security")) or []:
        for name, scopes in requirement.items():
            if name in authorizers:
                authorizer = draft.document["Authorizers"][authorizers[name]]
                route["AuthorizerId"] = authorizers[name]
                route["AuthorizationType"] = "JWT" if authorizer["AuthorizerType"] == "JWT" else "CUSTOM"
                if scopes:
                    route["AuthorizationScopes"] = scopes
    if operation.get("x-amazon-apigateway-auth", {}).get("type") == "AWS_IAM":
        route["AuthorizationType"] = "AWS_IAM"
    ROUTES.complete(draft, route, {})
    draft.document["Routes"][route_id] = route


def _authorizers(draft: Draft, specification: dict[str, Any]) -> dict[str, str]:
    """Name of the security scheme -> the authorizer's id."""
    found = {}
    for name, scheme in ((specification.get("components") or {}).get("securitySchemes") or {}).items():
        given = scheme.get("x-amazon-apigateway-authorizer")
        if not given:
            continue
        kind, source = str(given.get("type", "")).upper(), given.get("identitySource", "")
        authorizer = {
            "AuthorizerId": new_id(),
            "Name": name,
            "AuthorizerType": kind,
            "IdentitySource": [one.strip() for one in source.split(",")] if isinstance(source, str) else source,
        }
        if kind == "JWT":
            settings = given.get("jwtConfiguration") or {}
            authorizer["JwtConfiguration"] = {
                "Issuer": settings.get("issuer"),
                "Audience": settings.get("audience"),
            }
        else:
            authorizer |= {
                "AuthorizerUri": given.get("authorizerUri", ""),
                "AuthorizerPayloadFormatVersion": str(given.get("authorizerPayloadFormatVersion", "2.0")),
                "AuthorizerResultTtlInSeconds": given.get("authorizerResultTtlInSeconds", 0),
                "EnableSimpleResponses": bool(given.get("enableSimpleResponses")),
            }
        AUTHORIZERS.complete(draft, authorizer, authorizer)
        draft.document["Authorizers"][authorizer["AuthorizerId"]] = authorizer
        found[name] = authorizer["AuthorizerId"]
    return found


def _capitalised(members: dict[str, Any]) -> dict[str, Any]:
    return {name[:1].upper() + name[1:]: value for name, value in members.items()}
