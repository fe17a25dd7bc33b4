"""REST APIs: CreateRestApi, GetRestApi(s), UpdateRestApi, DeleteRestApi, and the tags of APIs and stages.

A document's members: api, resources (with their methods, integrations and responses), authorizers, models,
requestValidators, gatewayResponses, stages, deployments. Source: API Gateway REST API reference.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from gateway.api_documents import (
    API_ID_LENGTH,
    Draft,
    bad_request,
    change,
    create,
    limit_of,
    new_id,
    not_found,
    page_of_apis,
    read,
)
from gateway.api_documents import delete as delete_document
from gateway.apigateway_api.patch import patch
from gateway.call import Call

MAX_PAGE = 500
DEFAULT_PAGE = 25
MAX_COMPRESSION_BYTES = 10_485_760
#: a tag that chooses the API's id, as the tools of this field know it
ID_TAG = "_custom_id_"
_TAKEN_OVER = ("description", "version", "binaryMediaTypes", "minimumCompressionSize", "policy", "tags")
_ARN = re.compile(r"arn:aws:apigateway:[^:]*::/restapis/([^/]+)(?:/stages/([^/]+))?")
EMPTY_MODEL = {
    "Empty": {
        "id": "empty0",
        "name": "Empty",
        "description": "This is a default empty schema model",
        "schema": '{\n  "$schema": "http://json-schema.org/draft-04/schema#",\n  "title" : "Empty Schema",\n'
        '  "type" : "object"\n}',
        "contentType": "application/json",
    }
}


def new_document(api_id: str, given: dict[str, Any]) -> dict[str, Any]:
    """Of an API with nothing but its root resource. given: members of CreateRestApi."""
    root = new_id(API_ID_LENGTH)
    endpoint = {"types": ["EDGE"], "ipAddressType": "ipv4"} | given.get("endpointConfiguration", {})
    api = {
        "id": api_id,
        "name": given["name"],
        "createdDate": int(time.time()),
        "apiKeySource": given.get("apiKeySource", "HEADER"),
        "endpointConfiguration": endpoint,
        "disableExecuteApiEndpoint": given.get("disableExecuteApiEndpoint", False),
        "rootResourceId": root,
    } | {name: given[name] for name in _TAKEN_OVER if given.get(name)}
    return {
        "api": api,
        "resources": {root: {"id": root, "path": "/"}},
        "authorizers": {},
        "models": dict(EMPTY_MODEL),
        "requestValidators": {},
        "gatewayResponses": {},
        "stages": {},
        "deployments": {},
    }


async def create_rest_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("description") == "":
        raise bad_request("Description cannot be an empty string")
    if not 0 <= given.get("minimumCompressionSize", 0) <= MAX_COMPRESSION_BYTES:
        raise bad_request(f"Invalid minimum compression size, must be between 0 and {MAX_COMPRESSION_BYTES}")
    source = (await read(call, "REST", given["cloneFrom"])).document if "cloneFrom" in given else None

    def draft_of(api_id: str) -> Draft:
        document = new_document(api_id, given)
        if source is not None:
            for name in ("resources", "authorizers", "models", "requestValidators", "gatewayResponses"):
                document[name] = source[name]
            document["api"]["rootResourceId"] = source["api"]["rootResourceId"]
        return Draft(document)

    wanted = given.get("tags", {}).get(ID_TAG)
    return (await create(call, "REST", draft_of, wanted_id=wanted)).document["api"]


async def get_rest_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return (await read(call, "REST", given["restApiId"])).document["api"]


async def get_rest_apis(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit = limit_of(given.get("limit"), default=DEFAULT_PAGE, most=MAX_PAGE)
    records, token = await page_of_apis(call, "REST", given.get("position"), limit)
    return {"items": [record.document["api"] for record in records], "position": token}


async def update_rest_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        fixed = ("id", "createdDate", "rootResourceId", "tags", "warnings")
        patch(draft.document["api"], "RestApi", given.get("patchOperations", []), fixed=fixed)
        return draft.document["api"]

    return await change(call, "REST", given["restApiId"], edit)


async def delete_rest_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await delete_document(call, "REST", given["restApiId"])
    return {}


# --- tags -----------------------------------------------------------------------------------------------------
async def get_tags(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    api_id, stage = _resource(given["resourceArn"])
    return {"tags": _tagged((await read(call, "REST", api_id)).document, stage).get("tags", {})}


async def tag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _change_tags(call, given, lambda tags: tags.update(given["tags"]))


async def untag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def remove(tags: dict[str, str]) -> None:
        for name in given["tagKeys"]:
            tags.pop(name, None)

    return await _change_tags(call, given, remove)


async def _change_tags(
    call: Call, given: dict[str, Any], edit_tags: Callable[[dict[str, str]], None]
) -> dict[str, Any]:
    api_id, stage = _resource(given["resourceArn"])

    def edit(draft: Draft) -> dict[str, Any]:
        edit_tags(_tagged(draft.document, stage).setdefault("tags", {}))
        return {}

    return await change(call, "REST", api_id, edit)


def _resource(arn: str) -> tuple[str, str | None]:
    """API id and stage."""
    parts = _ARN.fullmatch(arn)
    if parts is None:
        raise bad_request(f"Invalid ARN specified in the request: {arn}")
    return parts[1], parts[2]


def _tagged(document: dict[str, Any], stage: str | None) -> dict[str, Any]:
    if stage is None:
        return document["api"]
    if stage not in document["stages"]:
        raise not_found("Invalid stage identifier specified")
    return document["stages"][stage]
