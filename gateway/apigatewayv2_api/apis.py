"""HTTP APIs: CreateApi (with quick create), GetApi, GetApis, UpdateApi, DeleteApi, DeleteCorsConfiguration.

Source: API Gateway V2 API reference; WebSocket APIs are refused.
"""

from __future__ import annotations

import time
from typing import Any

from gateway.api_documents import (
    PART_ID_LENGTH,
    Draft,
    bad_request,
    change,
    create,
    limit_of,
    new_id,
    page_of_apis,
    read,
)
from gateway.api_documents import delete as delete_document
from gateway.apigatewayv2_api.deployments import auto_deploy
from gateway.apigatewayv2_api.integrations import checked as checked_integration
from gateway.apigatewayv2_api.routes import checked_key
from gateway.call import Call
from gateway.front_doors.addresses import api_endpoint

DEFAULT_STAGE = "$default"
MAX_PAGE = 500
#: a tag that chooses the API's id, as the tools of this field know it
ID_TAG = "_custom_id_"
_SELECTIONS = ("ApiKeySelectionExpression", "RouteSelectionExpression")
_TAKEN_OVER = ("Description", "DisableExecuteApiEndpoint", "DisableSchemaValidation", "IpAddressType", "Version")


def new_document(api_id: str, given: dict[str, Any]) -> dict[str, Any]:
    """Of an API without any route. given: members of CreateApi."""
    api = {
        "ApiId": api_id,
        "Name": given["Name"],
        "ProtocolType": "HTTP",
        "ApiKeySelectionExpression": given.get("ApiKeySelectionExpression", "$request.header.x-api-key"),
        "RouteSelectionExpression": given.get("RouteSelectionExpression", "$request.method $request.path"),
        "CreatedDate": int(time.time()),
        "DisableExecuteApiEndpoint": False,
        "IpAddressType": "ipv4",
        "Tags": given.get("Tags", {}),
    } | {name: given[name] for name in _TAKEN_OVER if name in given}
    if "CorsConfiguration" in given:
        api["CorsConfiguration"] = given["CorsConfiguration"]
    return {"Api": api, "Routes": {}, "Integrations": {}, "Authorizers": {}, "Stages": {}, "Deployments": {}}


async def create_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    if given["ProtocolType"] != "HTTP":
        raise bad_request("Only HTTP APIs are offered here: ProtocolType must be HTTP.")
    if "RouteKey" in given and "Target" not in given:
        raise bad_request("RouteKey is only allowed if Target is specified.")

    def draft_of(api_id: str) -> Draft:
        draft = Draft(new_document(api_id, given))
        if "Target" in given:
            _quick_create(draft, given)
        return draft

    draft = await create(call, "HTTP", draft_of, wanted_id=given.get("Tags", {}).get(ID_TAG))
    return answer(call, draft.document)


async def get_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return answer(call, (await read(call, "HTTP", given["ApiId"])).document)


async def get_apis(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit = limit_of(given.get("MaxResults"), default=MAX_PAGE, most=MAX_PAGE)
    records, token = await page_of_apis(call, "HTTP", given.get("NextToken"), limit)
    return {"Items": [answer(call, record.document) for record in records], "NextToken": token}


async def update_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        api = draft.document["Api"]
        for name in (
            "Name",
            "ApiKeySelectionExpression",
            "RouteSelectionExpression",
            "CorsConfiguration",
            *_TAKEN_OVER,
        ):
            if name in given:
                api[name] = given[name]
        if "Target" in given or "RouteKey" in given:
            _update_quick_created(draft, given)
        return draft.document

    return answer(call, await change(call, "HTTP", given["ApiId"], edit))


async def delete_api(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await delete_document(call, "HTTP", given["ApiId"])
    return {}


async def delete_cors_configuration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        draft.document["Api"].pop("CorsConfiguration", None)
        return {}

    return await change(call, "HTTP", given["ApiId"], edit)


def answer(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    api = document["Api"]
    return {**api, "ApiEndpoint": api_endpoint(call.backends.settings, api["ApiId"], call.caller.region)}


def _quick_create(draft: Draft, given: dict[str, Any]) -> None:
    """An integration, a route that takes everything, and a stage that deploys by itself."""
    integration = {
        "IntegrationId": new_id(PART_ID_LENGTH),
        "ApiGatewayManaged": True,
        **checked_integration(_quick_integration(given)),
    }
    route = {
        "RouteId": new_id(PART_ID_LENGTH),
        "RouteKey": checked_key(given.get("RouteKey", "$default")),
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        "ApiGatewayManaged": True,
        "Target": f"integrations/{integration['IntegrationId']}",
    }
    now = int(time.time())
    draft.document["Integrations"][integration["IntegrationId"]] = integration
    draft.document["Routes"][route["RouteId"]] = route
    draft.document["Stages"][DEFAULT_STAGE] = {
        "StageName": DEFAULT_STAGE,
        "ApiGatewayManaged": True,
        "AutoDeploy": True,
        "CreatedDate": now,
        "LastUpdatedDate": now,
        "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        "RouteSettings": {},
        "StageVariables": {},
        "Tags": {},
    }
    auto_deploy(draft)


def _quick_integration(given: dict[str, Any]) -> dict[str, Any]:
    target = given["Target"]
    proxied = target.startswith(("http://", "https://"))
    return {
        "IntegrationType": "HTTP_PROXY" if proxied else "AWS_PROXY",
        "IntegrationUri": target,
        "PayloadFormatVersion": "1.0" if proxied else "2.0",
        **({"IntegrationMethod": "ANY"} if proxied else {}),
        **({"CredentialsArn": given["CredentialsArn"]} if "CredentialsArn" in given else {}),
    }


def _update_quick_created(draft: Draft, given: dict[str, Any]) -> None:
    managed = [one for one in draft.document["Routes"].values() if one.get("ApiGatewayManaged")]
    if not managed:
        raise bad_request("Target and RouteKey can only be updated for an API that was created with quick create.")
    route = managed[0]
    if "RouteKey" in given:
        route["RouteKey"] = checked_key(given["RouteKey"])
    if "Target" in given:
        integration = draft.document["Integrations"][route["Target"].removeprefix("integrations/")]
        integration |= checked_integration(_quick_integration(given))
    auto_deploy(draft)
