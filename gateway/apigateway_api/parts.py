"""Authorizers, models, request validators and gateway responses of REST APIs: parts with an id or a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.api_documents import Draft, bad_request, change, conflict, limit_of, new_id, not_found, page, read
from gateway.apigateway_api.patch import patch
from gateway.call import Call
from gateway.front_doors.function_uri import BadUri, check_uri

MAX_PAGE = 500
DEFAULT_PAGE = 25
MAX_TTL_S = 3600
DEFAULT_TTL_S = 300


@dataclass(frozen=True, slots=True)
class Part:
    """complete(document, part): fills in defaults, raises what is wrong with it."""

    #: the model's shape
    shape: str
    #: member of the document that holds the API's parts of this kind
    collection: str
    #: member of requests that names one; it is the part's id, or its name
    key: str
    missing: str
    complete: Callable[[dict[str, Any], dict[str, Any]], None]
    #: what a part is kept under is a name that the caller gives, in this member
    named_by: str = ""

    async def create(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        part_id = new_id(6)

        def edit(draft: Draft) -> dict[str, Any]:
            part = {"id": part_id, **{name: value for name, value in given.items() if name != "restApiId"}}
            self.complete(draft.document, part)
            kept = draft.document[self.collection]
            name = part[self.named_by] if self.named_by else part_id
            if name in kept:
                raise conflict(f"{self.shape} name already exists for this REST API")
            kept[name] = part
            return part

        return await change(call, "REST", given["restApiId"], edit)

    async def get(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        return self._find((await read(call, "REST", given["restApiId"])).document, given)

    async def list(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        document = (await read(call, "REST", given["restApiId"])).document
        limit = limit_of(given.get("limit"), default=DEFAULT_PAGE, most=MAX_PAGE)
        items, token = page(list(document[self.collection].values()), given.get("position"), limit)
        return {"items": items, "position": token}

    async def update(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        def edit(draft: Draft) -> dict[str, Any]:
            part = self._find(draft.document, given)
            patch(part, self.shape, given.get("patchOperations", []), fixed=("id", self.named_by))
            self.complete(draft.document, part)
            return part

        return await change(call, "REST", given["restApiId"], edit)

    async def delete(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        def edit(draft: Draft) -> dict[str, Any]:
            self._find(draft.document, given)
            del draft.document[self.collection][given[self.key]]
            return {}

        return await change(call, "REST", given["restApiId"], edit)

    def _find(self, document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        try:
            return document[self.collection][given[self.key]]
        except KeyError as exc:
            raise not_found(self.missing) from exc


async def put_gateway_response(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        response = {"defaultResponse": False, **{name: one for name, one in given.items() if name != "restApiId"}}
        draft.document["gatewayResponses"][given["responseType"]] = response
        return response

    return await change(call, "REST", given["restApiId"], edit)


def _complete_authorizer(document: dict[str, Any], authorizer: dict[str, Any]) -> None:
    kind = authorizer["type"]
    if kind not in ("TOKEN", "REQUEST"):
        raise bad_request(f"Authorizers of type {kind} are not offered here: use TOKEN or REQUEST.")
    authorizer.setdefault("authType", "custom")
    ttl_s = authorizer.setdefault("authorizerResultTtlInSeconds", DEFAULT_TTL_S)
    if not 0 <= ttl_s <= MAX_TTL_S:
        raise bad_request(f"Invalid Authorizer TTL: must be between 0 and {MAX_TTL_S}")
    if kind == "TOKEN":
        authorizer.setdefault("identitySource", "method.request.header.Authorization")
    elif ttl_s and not authorizer.get("identitySource"):
        raise bad_request("Identity source is required for REQUEST authorizers whose results are cached")
    try:
        check_uri(authorizer.get("authorizerUri", ""))
    except BadUri as exc:
        raise bad_request(f"Invalid Authorizer URI: {authorizer.get('authorizerUri')}") from exc


def _complete_validator(document: dict[str, Any], validator: dict[str, Any]) -> None:
    validator.setdefault("validateRequestBody", False)
    validator.setdefault("validateRequestParameters", False)


def _nothing(document: dict[str, Any], part: dict[str, Any]) -> None:
    pass


AUTHORIZERS = Part(
    "Authorizer", "authorizers", "authorizerId", "Invalid Authorizer identifier specified", _complete_authorizer
)
MODELS = Part("Model", "models", "modelName", "Invalid model name specified", _nothing, named_by="name")
REQUEST_VALIDATORS = Part(
    "RequestValidator",
    "requestValidators",
    "requestValidatorId",
    "Invalid Request Validator identifier specified",
    _complete_validator,
)
GATEWAY_RESPONSES = Part(
    "GatewayResponse",
    "gatewayResponses",
    "responseType",
    "Invalid gateway response type specified",
    _nothing,
    named_by="responseType",
)
