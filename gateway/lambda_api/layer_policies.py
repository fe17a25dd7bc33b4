"""AddLayerVersionPermission, GetLayerVersionPolicy, RemoveLayerVersionPermission.

Source: Lambda API reference, AddLayerVersionPermission; statements, messages and their order as recorded from AWS.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from gateway.call import Call
from gateway.lambda_api.layer_access import document_of
from gateway.lambda_api.layers import LayerRef, layer_ref
from hearth.errors import AccessDenied, PreconditionFailed, ResourceConflict, ResourceNotFound
from hearth.model.layer import LayerVersion


async def add_layer_version_permission(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _own(call, given)
    statement: dict[str, Any] = {
        "Sid": given["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(given["Principal"]),
        "Action": given["Action"],
        "Resource": ref.arn,
    }
    if given.get("OrganizationId"):
        statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": given["OrganizationId"]}}
    while True:
        layer = await _layer(call, ref)
        raw = await call.backends.layers.policy(layer)
        policy = orjson.loads(raw) if raw else {"revision_id": None, "statements": []}
        if any(one["Sid"] == given["StatementId"] for one in policy["statements"]):
            raise ResourceConflict(
                f"The statement id ({given['StatementId']}) provided already exists. Please provide a new statement "
                "id, or remove the existing statement."
            )
        _check_revision(given, policy["revision_id"])
        revision_id = str(uuid.uuid4())
        new = {"revision_id": revision_id, "statements": [*policy["statements"], statement]}
        if await call.backends.layers.put_policy(layer, raw, orjson.dumps(new)):
            return {"Statement": orjson.dumps(statement).decode(), "RevisionId": revision_id}


async def get_layer_version_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    raw = await call.backends.layers.policy(await _layer(call, _own(call, given)))
    if raw is None:
        raise ResourceNotFound("No policy is associated with the given resource.")
    policy = orjson.loads(raw)
    return {"Policy": orjson.dumps(document_of(policy)).decode(), "RevisionId": policy["revision_id"]}


async def remove_layer_version_permission(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _own(call, given)
    while True:
        layer = await _layer(call, ref)
        raw = await call.backends.layers.policy(layer)
        policy = orjson.loads(raw) if raw else {"revision_id": None, "statements": []}
        left = [one for one in policy["statements"] if one["Sid"] != given["StatementId"]]
        if len(left) == len(policy["statements"]):
            raise ResourceNotFound(f"Statement {given['StatementId']} is not found in resource policy.")
        _check_revision(given, policy["revision_id"])
        new = orjson.dumps({"revision_id": str(uuid.uuid4()), "statements": left}) if left else None
        if await call.backends.layers.put_policy(layer, raw, new):
            return {}


def _own(call: Call, given: dict[str, Any]) -> LayerRef:
    named = layer_ref(call, given["LayerName"])
    if named.account != call.caller.account:
        raise AccessDenied()
    return LayerRef(named.account, named.region, named.name, given["VersionNumber"])


async def _layer(call: Call, ref: LayerRef) -> LayerVersion:
    layer = await call.backends.layers.get(ref.account, ref.region, ref.name, ref.number or 0)
    if layer is None:
        raise ResourceNotFound(f"Layer version {ref.arn} does not exist.")
    return layer


def _principal(given: str) -> Any:
    if given == "*":
        return given
    return {"AWS": f"arn:aws:iam::{given}:root" if given.isdigit() else given}


def _check_revision(given: dict[str, Any], revision_id: str | None) -> None:
    if given.get("RevisionId") not in (None, revision_id):
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve "
            "the latest Revision Id"
        )
