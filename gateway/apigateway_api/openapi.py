"""ImportRestApi and PutRestApi: Swagger 2.0 or OpenAPI 3.0 with x-amazon-apigateway extensions becomes a REST API.

Source: API Gateway Developer Guide, "OpenAPI extensions for API Gateway".
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.api_documents import Draft, bad_request, change, create, new_id
from gateway.apigateway_api import methods, parts, resources
from gateway.apigateway_api.rest_apis import EMPTY_MODEL, new_document
from gateway.apigatewayv2_api.openapi import parse
from gateway.call import Call

_ANY = "x-amazon-apigateway-any-method"


async def import_rest_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    specification = parse(given["body"])

    def draft_of(api_id: str) -> Draft:
        title = (specification.get("info") or {}).get("title") or api_id
        draft = Draft(new_document(api_id, {"name": title}))
        _fill(draft.document, specification)
        return draft

    return (await create(call, "REST", draft_of)).document["api"]


async def put_rest_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """mode `overwrite` empties the API first, `merge` (the default) lays the document over what is there."""
    specification = parse(given["body"])

    def edit(draft: Draft) -> dict[str, Any]:
        document = draft.document
        if title := (specification.get("info") or {}).get("title"):
            document["api"]["name"] = title
        if given.get("mode") == "overwrite":
            root = document["api"]["rootResourceId"]
            document["resources"] = {root: {"id": root, "path": "/"}}
            document |= {"authorizers": {}, "models": dict(EMPTY_MODEL), "gatewayResponses": {}}
        _fill(document, specification)
        return document["api"]

    return await change(call, "REST", given["restApiId"], edit)


def _fill(document: dict[str, Any], specification: dict[str, Any]) -> None:
    api, info = document["api"], specification.get("info") or {}
    for member in ("description", "version"):
        if info.get(member) is not None:
            api[member] = str(info[member])
    if types := specification.get("x-amazon-apigateway-binary-media-types"):
        api["binaryMediaTypes"] = types
    if policy := specification.get("x-amazon-apigateway-policy"):
        api["policy"] = _json(policy)
    for kind, response in (specification.get("x-amazon-apigateway-gateway-responses") or {}).items():
        document["gatewayResponses"][kind] = {"responseType": kind, "defaultResponse": False} | {
            name: str(value) if name == "statusCode" else value for name, value in response.items()
        }
    authorizers = _authorizers(document, specification)
    for path, operations in (specification.get("paths") or {}).items():
        resource = _resource_at(document, path)
        for name, operation in (operations or {}).items():
            method = "ANY" if name == _ANY else name.upper()
            if method in methods.HTTP_METHODS and isinstance(operation, dict):
                resource.setdefault("resourceMethods", {})[method] = _method(
                    method, operation, resource["id"], authorizers, specification
                )


def _resource_at(document: dict[str, Any], path: str) -> dict[str, Any]:
    """The resource of a path, made with those above it if it isn't there."""
    current = document["resources"][document["api"]["rootResourceId"]]
    for part in filter(None, path.split("/")):
        below = [
            one
            for one in document["resources"].values()
            if one.get("parentId") == current["id"] and one["pathPart"] == part
        ]
        current = below[0] if below else resources.add(document, current["id"], part, new_id(6))
    return current


def _method(
    name: str,
    operation: dict[str, Any],
    resource_id: str,
    authorizers: dict[str, str],
    specification: dict[str, Any],
) -> dict[str, Any]:
    method: dict[str, Any] = {"httpMethod": name, "apiKeyRequired": False, "authorizationType": "NONE"}
    if "operationId" in operation:
        method["operationName"] = operation["operationId"]
    for requirement in operation.get("security", specification.get("security")) or []:
        for scheme in requirement:
            if scheme in authorizers:
                method |= {"authorizationType": "CUSTOM", "authorizerId": authorizers[scheme]}
            elif scheme == "sigv4":
                method["authorizationType"] = "AWS_IAM"
            elif scheme == "api_key":
                method["apiKeyRequired"] = True
    if operation.get("x-amazon-apigateway-auth", {}).get("type") == "AWS_IAM":
        method["authorizationType"] = "AWS_IAM"
    parameters = {
        f"method.request.{_PLACES[one['in']]}.{one['name']}": bool(one.get("required"))
        for one in operation.get("parameters") or []
        if one.get("in") in _PLACES
    }
    if parameters:
        method["requestParameters"] = parameters
    if responses := operation.get("responses"):
        method["methodResponses"] = {
            str(code): _method_response(str(code), one)
            for code, one in responses.items()
            if re.fullmatch(r"[1-5]\d\d", str(code))
        }
    if integration := operation.get("x-amazon-apigateway-integration"):
        method["methodIntegration"] = _integration(integration, resource_id)
    return method


_PLACES = {"header": "header", "query": "querystring", "path": "path"}


def _method_response(code: str, response: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"statusCode": code}
    if headers := response.get("headers"):
        made["responseParameters"] = {f"method.response.header.{name}": False for name in headers}
    return made


def _integration(given: dict[str, Any], resource_id: str) -> dict[str, Any]:
    members = {
        name: given[name]
        for name in ("uri", "credentials", "requestParameters", "requestTemplates", "timeoutInMillis")
        if given.get(name) is not None
    }
    kind = str(given.get("type", "")).upper()
    if kind not in methods.TYPES:
        raise bad_request(f"Invalid integration type specified: {given.get('type')}")
    made = methods.new_integration(
        {"resourceId": resource_id, "type": kind, **members}
        | ({"integrationHttpMethod": given["httpMethod"]} if "httpMethod" in given else {})
        | ({"passthroughBehavior": given["passthroughBehavior"].upper()} if "passthroughBehavior" in given else {})
    )
    made["integrationResponses"] = {
        str(response["statusCode"]): {
            "statusCode": str(response["statusCode"]),
            **({} if pattern == "default" else {"selectionPattern": pattern}),
            **{name: response[name] for name in ("responseParameters", "responseTemplates") if name in response},
        }
        for pattern, response in (given.get("responses") or {}).items()
    }
    return made


def _authorizers(document: dict[str, Any], specification: dict[str, Any]) -> dict[str, str]:
    """Name of the security scheme -> the authorizer's id."""
    found = {}
    schemes = specification.get("securityDefinitions") or (specification.get("components") or {}).get("securitySchemes")
    for name, scheme in (schemes or {}).items():
        given = scheme.get("x-amazon-apigateway-authorizer")
        if not given:
            continue
        kind = str(given.get("type", "")).upper()
        authorizer = {"id": new_id(6), "name": name, "type": kind} | {
            member: given[member]
            for member in (
                *("authorizerUri", "authorizerCredentials", "identitySource", "identityValidationExpression"),
                "authorizerResultTtlInSeconds",
            )
            if given.get(member) is not None
        }
        if kind == "TOKEN" and "identitySource" not in authorizer:
            authorizer["identitySource"] = f"method.request.header.{scheme.get('name', 'Authorization')}"
        parts.AUTHORIZERS.complete(document, authorizer)
        document["authorizers"][authorizer["id"]] = authorizer
        found[name] = authorizer["id"]
    return found


def _json(policy: Any) -> str:
    return policy if isinstance(policy, str) else orjson.dumps(policy).decode()
