"""Deployments and stages of REST APIs. A deployment freezes the API; a stage serves what its deployment froze."""

from __future__ import annotations

import copy
import re
import time
from typing import Any

from gateway.api_documents import Draft, bad_request, change, conflict, limit_of, new_id, not_found, page, read
from gateway.apigateway_api.patch import patch
from gateway.call import Call

MAX_PAGE = 500
DEFAULT_PAGE = 25
FROZEN = ("api", "resources", "authorizers", "gatewayResponses", "models", "requestValidators")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


# --- deployments ----------------------------------------------------------------------------------------------
async def create_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    deployment_id = new_id(6)

    def edit(draft: Draft) -> dict[str, Any]:
        document = draft.document
        methods = [one for resource in document["resources"].values() for one in _methods(resource)]
        if not methods:
            raise bad_request("The REST API doesn't contain any methods")
        if any("methodIntegration" not in method for method in methods):
            raise bad_request("No integration defined for method")
        deployment = {"id": deployment_id, "createdDate": int(time.time())}
        if "description" in given:
            deployment["description"] = given["description"]
        document["deployments"][deployment_id] = deployment
        draft.snapshots[deployment_id] = {name: copy.deepcopy(document[name]) for name in FROZEN}
        if name := given.get("stageName"):
            _deploy_to(document, name, deployment_id, given)
        return deployment

    return await change(call, "REST", given["restApiId"], edit)


def _deploy_to(document: dict[str, Any], name: str, deployment_id: str, given: dict[str, Any]) -> None:
    if name in document["stages"]:
        stage = document["stages"][name]
        stage |= {"deploymentId": deployment_id, "lastUpdatedDate": int(time.time())}
        if "variables" in given:
            stage["variables"] = stage.get("variables", {}) | given["variables"]
    else:
        members: dict[str, Any] = {one: given[one] for one in ("variables", "tracingEnabled") if one in given}
        if "stageDescription" in given:
            members["description"] = given["stageDescription"]
        document["stages"][name] = _new_stage(name, deployment_id, members)


async def get_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return _find((await read(call, "REST", given["restApiId"])).document, given["deploymentId"])


async def get_deployments(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    document = (await read(call, "REST", given["restApiId"])).document
    limit = limit_of(given.get("limit"), default=DEFAULT_PAGE, most=MAX_PAGE)
    items, token = page(list(document["deployments"].values()), given.get("position"), limit)
    return {"items": items, "position": token}


async def update_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        deployment = _find(draft.document, given["deploymentId"])
        fixed = ("id", "createdDate", "apiSummary")
        patch(deployment, "Deployment", given.get("patchOperations", []), fixed=fixed)
        return deployment

    return await change(call, "REST", given["restApiId"], edit)


async def delete_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        deployment_id = _find(draft.document, given["deploymentId"])["id"]
        if any(stage["deploymentId"] == deployment_id for stage in draft.document["stages"].values()):
            raise bad_request("Active stages pointing to this deployment must be moved or deleted")
        del draft.document["deployments"][deployment_id]
        draft.snapshots[deployment_id] = None
        return {}

    return await change(call, "REST", given["restApiId"], edit)


def _find(document: dict[str, Any], deployment_id: str) -> dict[str, Any]:
    try:
        return document["deployments"][deployment_id]
    except KeyError as exc:
        raise not_found("Invalid Deployment identifier specified") from exc


def _methods(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return list(resource.get("resourceMethods", {}).values())


# --- stages ---------------------------------------------------------------------------------------------------
async def create_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        name = given["stageName"]
        if name in draft.document["stages"]:
            raise conflict("Stage already exists")
        deployment_id = given["deploymentId"]
        _find(draft.document, deployment_id)
        members = {
            member: value for member, value in given.items() if member not in ("restApiId", "stageName", "deploymentId")
        }
        draft.document["stages"][name] = _new_stage(name, deployment_id, members)
        return draft.document["stages"][name]

    return await change(call, "REST", given["restApiId"], edit)


def _new_stage(name: str, deployment_id: str, members: dict[str, Any]) -> dict[str, Any]:
    if not _NAME.fullmatch(name):
        raise bad_request("Stage name only allows a-zA-Z0-9_")
    now = int(time.time())
    return {
        "stageName": name,
        "deploymentId": deployment_id,
        "cacheClusterEnabled": False,
        "cacheClusterStatus": "NOT_AVAILABLE",
        "createdDate": now,
        "lastUpdatedDate": now,
        "methodSettings": {},
        "tracingEnabled": False,
        **members,
    }


async def get_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return _find_stage((await read(call, "REST", given["restApiId"])).document, given["stageName"])


async def get_stages(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stages = (await read(call, "REST", given["restApiId"])).document["stages"].values()
    wanted = given.get("deploymentId")
    return {"item": [stage for stage in stages if wanted in (None, stage["deploymentId"])]}


async def update_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        stage = _find_stage(draft.document, given["stageName"])
        operations = [_method_setting(one) for one in given.get("patchOperations", [])]
        fixed = ("stageName", "createdDate", "lastUpdatedDate", "tags", "cacheClusterStatus")
        patch(stage, "Stage", operations, fixed=fixed)
        stage.setdefault("methodSettings", {})
        _find(draft.document, stage["deploymentId"])
        stage["lastUpdatedDate"] = int(time.time())
        return stage

    return await change(call, "REST", given["restApiId"], edit)


async def delete_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        _find_stage(draft.document, given["stageName"])
        del draft.document["stages"][given["stageName"]]
        return {}

    return await change(call, "REST", given["restApiId"], edit)


async def flush_stage_authorizers_cache(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Gateways keep authorizers' answers with the API's revision: a new one forgets them."""

    def edit(draft: Draft) -> dict[str, Any]:
        _find_stage(draft.document, given["stageName"])
        return {}

    return await change(call, "REST", given["restApiId"], edit)


#: the last parts of a path like /*/*/logging/loglevel -> the member of MethodSetting
_SETTINGS = {
    "logging/loglevel": "loggingLevel",
    "logging/dataTrace": "dataTraceEnabled",
    "metrics/enabled": "metricsEnabled",
    "throttling/burstLimit": "throttlingBurstLimit",
    "throttling/rateLimit": "throttlingRateLimit",
    "caching/enabled": "cachingEnabled",
    "caching/ttlInSeconds": "cacheTtlInSeconds",
    "caching/dataEncrypted": "cacheDataEncrypted",
}


def _method_setting(operation: dict[str, Any]) -> dict[str, Any]:
    """/RESOURCE/METHOD/GROUP/SETTING, a stage's own way to write /methodSettings/RESOURCE~1METHOD/member."""
    parts = operation.get("path", "").strip("/").split("/")
    member = _SETTINGS.get("/".join(parts[-2:])) if len(parts) >= 4 else None
    if member is None:
        return operation
    address = "~1".join(parts[:-2])
    return {**operation, "path": f"/methodSettings/{address}/{member}"}


def _find_stage(document: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        return document["stages"][name]
    except KeyError as exc:
        raise not_found("Invalid stage identifier specified") from exc
