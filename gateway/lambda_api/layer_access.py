"""Who may use a layer version: its own account, and whom its policy names."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.call import Call
from hearth.arn import layer_arn
from hearth.errors import AccessDenied
from hearth.model.layer import LayerVersion
from hearth.policies import Access, Principal, Verdict, decide

ACTION = "lambda:GetLayerVersion"


def document_of(policy: dict[str, Any]) -> dict[str, Any]:
    """A stored policy ({"revision_id", "statements"}) as a policy document."""
    return {"Version": "2012-10-17", "Id": "default", "Statement": policy["statements"]}


async def check_usable(call: Call, layer: LayerVersion) -> None:
    """Raises AccessDenied unless the layer is the caller's own or its policy lets the caller's account have it."""
    account = call.caller.account
    if layer.account == account:
        return
    arn = layer_arn(layer.region, layer.account, layer.name, layer.number)
    root = f"arn:aws:iam::{account}:root"
    raw = await call.backends.layers.policy(layer)
    documents = [document_of(orjson.loads(raw))] if raw else []
    access = Access(ACTION, arn, Principal(account=account, arn=root))
    if decide(documents, access, resource_based=True) is not Verdict.ALLOWED:
        raise AccessDenied(
            f"User: {root} is not authorized to perform: {ACTION} on resource: {arn} because no resource-based "
            f"policy allows the {ACTION} action"
        )
