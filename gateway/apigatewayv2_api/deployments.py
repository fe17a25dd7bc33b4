"""Deployments of HTTP APIs. One freezes routes, integrations and authorizers; a stage serves what its one froze.

A stage with AutoDeploy serves the API as it is; its deployment is kept as a record of when that last changed.
"""

from __future__ import annotations

import copy
import time
from typing import Any

from gateway.api_documents import Draft, bad_request, change, conflict, limit_of, new_id, not_found, page, read
from gateway.call import Call

FROZEN = ("Routes", "Integrations", "Authorizers")
MAX_PAGE = 500
_AUTOMATIC = "Automatic deployment triggered by changes to the Api configuration"


async def create_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    deployment_id = new_id(6)

    def edit(draft: Draft) -> dict[str, Any]:
        document = draft.document
        stage = None
        if "StageName" in given:
            stage = document["Stages"].get(given["StageName"])
            if stage is None:
                raise not_found("Unable to find Stage by name within the provided Api")
            if stage.get("AutoDeploy"):
                raise bad_request("Deployment ID cannot be set on a stage with AutoDeploy")
        deployment = {
            "AutoDeployed": False,
            "CreatedDate": int(time.time()),
            "DeploymentId": deployment_id,
            "DeploymentStatus": "DEPLOYED",
            **({"Description": given["Description"]} if "Description" in given else {}),
        }
        document["Deployments"][deployment_id] = deployment
        draft.snapshots[deployment_id] = {name: copy.deepcopy(document[name]) for name in FROZEN}
        if stage is not None:
            stage |= {"DeploymentId": deployment_id, "LastUpdatedDate": deployment["CreatedDate"]}
        return deployment

    return await change(call, "HTTP", given["ApiId"], edit)


async def get_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return _find((await read(call, "HTTP", given["ApiId"])).document, given)


async def get_deployments(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    document = (await read(call, "HTTP", given["ApiId"])).document
    limit = limit_of(given.get("MaxResults"), default=MAX_PAGE, most=MAX_PAGE)
    items, token = page(list(document["Deployments"].values()), given.get("NextToken"), limit)
    return {"Items": items, "NextToken": token}


async def update_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        deployment = _find(draft.document, given)
        if "Description" in given:
            deployment["Description"] = given["Description"]
        return deployment

    return await change(call, "HTTP", given["ApiId"], edit)


async def delete_deployment(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        deployment_id = _find(draft.document, given)["DeploymentId"]
        for stage in draft.document["Stages"].values():
            if stage.get("DeploymentId") == deployment_id:
                raise conflict(f"Active stages with deployments cannot be deleted: {stage['StageName']}")
        del draft.document["Deployments"][deployment_id]
        draft.snapshots[deployment_id] = None
        return {}

    return await change(call, "HTTP", given["ApiId"], edit)


def auto_deploy(draft: Draft) -> None:
    """To be called at the end of every change of what is frozen."""
    document = draft.document
    stages = [stage for stage in document["Stages"].values() if stage.get("AutoDeploy")]
    if not stages:
        return
    now, deployment_id = int(time.time()), new_id(6)
    used = {stage.get("DeploymentId") for stage in stages}
    for stale in [one for one, made in document["Deployments"].items() if made["AutoDeployed"] and one in used]:
        del document["Deployments"][stale]
    document["Deployments"][deployment_id] = {
        "AutoDeployed": True,
        "CreatedDate": now,
        "DeploymentId": deployment_id,
        "DeploymentStatus": "DEPLOYED",
        "Description": _AUTOMATIC,
    }
    for stage in stages:
        stage |= {
            "DeploymentId": deployment_id,
            "LastUpdatedDate": now,
            "LastDeploymentStatusMessage": f"Successfully deployed stage with deployment ID '{deployment_id}'",
        }


def _find(document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    try:
        return document["Deployments"][given["DeploymentId"]]
    except KeyError as exc:
        raise not_found("Invalid Deployment identifier specified") from exc
