"""Stages of HTTP APIs, and the tags of APIs and stages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from gateway.api_documents import Draft, bad_request, change, conflict, limit_of, not_found, page, read
from gateway.apigatewayv2_api.deployments import auto_deploy
from gateway.call import Call

MAX_PAGE = 500
_NAME = re.compile(r"\$default|[A-Za-z0-9_-]{1,128}")
_ARN = re.compile(r"arn:aws:apigateway:[^:]*::/apis/([^/]+)(?:/stages/([^/]+))?")


async def create_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    name = given["StageName"]
    if not _NAME.fullmatch(name):
        raise bad_request("Stage name only allows a-zA-Z0-9_- or $default")

    def edit(draft: Draft) -> dict[str, Any]:
        if name in draft.document["Stages"]:
            raise conflict("Stage already exists")
        now = int(time.time())
        stage = {
            "StageName": name,
            "AutoDeploy": False,
            "CreatedDate": now,
            "LastUpdatedDate": now,
            "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
            "RouteSettings": {},
            "StageVariables": {},
            "Tags": {},
        } | _own(given)
        draft.document["Stages"][name] = stage
        return _settled(draft, stage, given)

    return await change(call, "HTTP", given["ApiId"], edit)


async def get_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return _find((await read(call, "HTTP", given["ApiId"])).document, given["StageName"])


async def get_stages(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    document = (await read(call, "HTTP", given["ApiId"])).document
    limit = limit_of(given.get("MaxResults"), default=MAX_PAGE, most=MAX_PAGE)
    items, token = page(list(document["Stages"].values()), given.get("NextToken"), limit)
    return {"Items": items, "NextToken": token}


async def update_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        stage = _find(draft.document, given["StageName"])
        stage |= {**_own(given), "LastUpdatedDate": int(time.time())}
        return _settled(draft, stage, given)

    return await change(call, "HTTP", given["ApiId"], edit)


async def delete_stage(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        _find(draft.document, given["StageName"])
        del draft.document["Stages"][given["StageName"]]
        return {}

    return await change(call, "HTTP", given["ApiId"], edit)


async def delete_route_settings(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        _find(draft.document, given["StageName"])["RouteSettings"].pop(given["RouteKey"], None)
        return {}

    return await change(call, "HTTP", given["ApiId"], edit)


async def delete_access_log_settings(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        _find(draft.document, given["StageName"]).pop("AccessLogSettings", None)
        return {}

    return await change(call, "HTTP", given["ApiId"], edit)


async def reset_authorizers_cache(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Gateways keep authorizers' answers with the API's revision: a new one forgets them."""

    def edit(draft: Draft) -> dict[str, Any]:
        _find(draft.document, given["StageName"])
        return {}

    return await change(call, "HTTP", given["ApiId"], edit)


# --- tags -----------------------------------------------------------------------------------------------------
async def get_tags(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    api_id, stage = _resource(given["ResourceArn"])
    return {"Tags": _tagged((await read(call, "HTTP", api_id)).document, stage)["Tags"]}


async def tag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _change_tags(call, given, lambda tags: tags.update(given.get("Tags", {})))


async def untag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def remove(tags: dict[str, str]) -> None:
        for name in given["TagKeys"]:
            tags.pop(name, None)

    return await _change_tags(call, given, remove)


async def _change_tags(
    call: Call, given: dict[str, Any], edit_tags: Callable[[dict[str, str]], None]
) -> dict[str, Any]:
    api_id, stage = _resource(given["ResourceArn"])

    def edit(draft: Draft) -> dict[str, Any]:
        edit_tags(_tagged(draft.document, stage)["Tags"])
        return {}

    return await change(call, "HTTP", api_id, edit)


def _resource(arn: str) -> tuple[str, str | None]:
    """API id and stage."""
    parts = _ARN.fullmatch(arn)
    if parts is None:
        raise bad_request(f"Invalid resource ARN specified: {arn}")
    return parts[1], parts[2]


def _tagged(document: dict[str, Any], stage: str | None) -> dict[str, Any]:
    return document["Api"] if stage is None else _find(document, stage)


def _own(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in ("ApiId", "StageName")}


def _settled(draft: Draft, stage: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The deployment that a stage names must exist; one that deploys by itself names none."""
    if stage["AutoDeploy"]:
        if "DeploymentId" in given:
            raise bad_request("Deployment ID cannot be set on a stage with AutoDeploy")
        auto_deploy(draft)
    elif "DeploymentId" in given and given["DeploymentId"] not in draft.document["Deployments"]:
        raise not_found("Invalid Deployment identifier specified")
    return stage


def _find(document: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        return document["Stages"][name]
    except KeyError as exc:
        raise not_found("Invalid stage identifier specified") from exc
