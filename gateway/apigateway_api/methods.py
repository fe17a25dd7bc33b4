"""Methods of REST resources, with their integrations and both kinds of responses."""

from __future__ import annotations

import re
from typing import Any

from gateway.api_documents import Draft, bad_request, change, not_found, read
from gateway.apigateway_api.patch import patch
from gateway.apigateway_api.resources import find as find_resource
from gateway.call import Call
from gateway.front_doors.function_uri import BadUri, check_uri

HTTP_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY")
TYPES = ("HTTP", "AWS", "MOCK", "HTTP_PROXY", "AWS_PROXY")
MIN_TIMEOUT_MS, MAX_TIMEOUT_MS, DEFAULT_TIMEOUT_MS = 50, 900_000, 29_000
_AWS_ARN = re.compile(r"arn:aws[\w-]*:apigateway:[\w-]+:([\w.-]+):(path|action)/.+")
_ADDRESS = ("restApiId", "resourceId", "httpMethod")


# --- methods --------------------------------------------------------------------------------------------------
async def put_method(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        resource = find_resource(draft.document, given["resourceId"])
        name = given["httpMethod"]
        if name not in HTTP_METHODS:
            raise bad_request(f"Invalid HttpMethod specified. Valid options are {','.join(HTTP_METHODS)}")
        method = {"apiKeyRequired": False, **_own(given, "restApiId", "resourceId")}
        _check(draft.document, method)
        resource.setdefault("resourceMethods", {})[name] = method
        return method

    return await change(call, "REST", given["restApiId"], edit)


async def get_method(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return find_method((await read(call, "REST", given["restApiId"])).document, given)


async def update_method(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        method = find_method(draft.document, given)
        fixed = ("httpMethod", "methodIntegration", "methodResponses")
        patch(method, "Method", given.get("patchOperations", []), fixed=fixed)
        _check(draft.document, method)
        return method

    return await change(call, "REST", given["restApiId"], edit)


async def delete_method(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        find_method(draft.document, given)
        del find_resource(draft.document, given["resourceId"])["resourceMethods"][given["httpMethod"]]
        return {}

    return await change(call, "REST", given["restApiId"], edit)


def find_method(document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    methods = find_resource(document, given["resourceId"]).get("resourceMethods", {})
    try:
        return methods[given["httpMethod"]]
    except KeyError as exc:
        raise not_found("Invalid Method identifier specified") from exc


def _check(document: dict[str, Any], method: dict[str, Any]) -> None:
    kind = method["authorizationType"]
    if kind in ("CUSTOM", "COGNITO_USER_POOLS"):
        if method.get("authorizerId") not in document["authorizers"]:
            raise bad_request(
                "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS "
                "requires a valid authorizer."
            )
    elif kind not in ("NONE", "AWS_IAM"):
        raise bad_request(f"Invalid authorization type specified: {kind}")
    if (validator := method.get("requestValidatorId")) and validator not in document["requestValidators"]:
        raise bad_request("Invalid Request Validator identifier specified")
    for model in method.get("requestModels", {}).values():
        if model not in document["models"]:
            raise bad_request(f"Invalid model identifier specified: {model}")


# --- integrations ---------------------------------------------------------------------------------------------
async def put_integration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        method = find_method(draft.document, given)
        method["methodIntegration"] = new_integration(given)
        return method["methodIntegration"]

    return await change(call, "REST", given["restApiId"], edit)


def new_integration(given: dict[str, Any]) -> dict[str, Any]:
    """From the members of PutIntegration, with those that AWS fills in. Raises BadRequestException."""
    integration = {
        "cacheKeyParameters": [],
        "cacheNamespace": given["resourceId"],
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": DEFAULT_TIMEOUT_MS,
        **_own(given, *_ADDRESS, "integrationHttpMethod"),
    }
    if "integrationHttpMethod" in given:
        integration["httpMethod"] = given["integrationHttpMethod"]
    _check_integration(integration)
    return integration


def _check_integration(integration: dict[str, Any]) -> None:
    kind, uri = integration["type"], integration.get("uri", "")
    if kind in ("AWS_PROXY", "AWS"):
        if "httpMethod" not in integration:
            raise bad_request("Enumeration value for HttpMethod must be non-empty")
        _check_aws_uri(kind, uri)
    elif kind in ("HTTP", "HTTP_PROXY") and not uri.startswith(("http://", "https://", "${stageVariables.")):
        raise bad_request("Invalid HTTP endpoint specified for URI")
    if not MIN_TIMEOUT_MS <= integration["timeoutInMillis"] <= MAX_TIMEOUT_MS:
        raise bad_request(f"Timeout should be between {MIN_TIMEOUT_MS} ms and {MAX_TIMEOUT_MS} ms")


def _check_aws_uri(kind: str, uri: str) -> None:
    if not uri.startswith("arn:"):
        raise bad_request("Invalid ARN specified in the request")
    named = _AWS_ARN.fullmatch(uri)
    if named is None:
        raise bad_request("AWS ARN for integration must contain path or action")
    if kind == "AWS_PROXY":
        try:
            check_uri(uri)
        except BadUri as exc:
            raise bad_request(
                "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream "
                "invocations."
            ) from exc


async def get_integration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return _find_integration((await read(call, "REST", given["restApiId"])).document, given)


async def update_integration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        integration = _find_integration(draft.document, given)
        patch(integration, "Integration", given.get("patchOperations", []), fixed=("type", "integrationResponses"))
        _check_integration(integration)
        return integration

    return await change(call, "REST", given["restApiId"], edit)


async def delete_integration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        _find_integration(draft.document, given)
        del find_method(draft.document, given)["methodIntegration"]
        return {}

    return await change(call, "REST", given["restApiId"], edit)


def _find_integration(document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    try:
        return find_method(document, given)["methodIntegration"]
    except KeyError as exc:
        raise not_found("Invalid Integration identifier specified") from exc


# --- responses ------------------------------------------------------------------------------------------------
class Responses:
    """Put, Get, Update and Delete of one kind of responses by status code."""

    def __init__(self, shape: str, *, of_integration: bool) -> None:
        self._shape = shape
        self._of_integration = of_integration

    async def put(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        def edit(draft: Draft) -> dict[str, Any]:
            response = _own(given, *_ADDRESS)
            self._all(draft.document, given)[given["statusCode"]] = response
            return response

        return await change(call, "REST", given["restApiId"], edit)

    async def get(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        return self._find((await read(call, "REST", given["restApiId"])).document, given)

    async def update(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        def edit(draft: Draft) -> dict[str, Any]:
            response = self._find(draft.document, given)
            patch(response, self._shape, given.get("patchOperations", []), fixed=("statusCode",))
            return response

        return await change(call, "REST", given["restApiId"], edit)

    async def delete(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        def edit(draft: Draft) -> dict[str, Any]:
            self._find(draft.document, given)
            del self._all(draft.document, given)[given["statusCode"]]
            return {}

        return await change(call, "REST", given["restApiId"], edit)

    def _all(self, document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        if self._of_integration:
            return _find_integration(document, given).setdefault("integrationResponses", {})
        return find_method(document, given).setdefault("methodResponses", {})

    def _find(self, document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._all(document, given)[given["statusCode"]]
        except KeyError as exc:
            raise not_found("Invalid Response status code specified") from exc


METHOD_RESPONSES = Responses("MethodResponse", of_integration=False)
INTEGRATION_RESPONSES = Responses("IntegrationResponse", of_integration=True)


def _own(given: dict[str, Any], *without: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in without}
