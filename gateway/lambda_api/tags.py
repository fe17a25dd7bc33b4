"""TagResource, UntagResource, ListTags: of functions, code signing configurations and event source mappings.

Source: Lambda API reference; order of checks and texts as recorded from AWS.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.call import Call
from gateway.lambda_api import code_signing, configuration, mapping_tags
from gateway.lambda_api.names import function_ref, not_found
from gateway.lambda_api.versions import new_key, new_revision
from hearth.errors import InvalidParameterValue, ResourceNotFound
from hearth.store.functions import FunctionRecord

MAX_TAGS = 50


async def tag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    tags: dict[str, str] = given["Tags"]

    def added(old: dict[str, str]) -> dict[str, str]:
        if not tags:
            raise InvalidParameterValue("An error occurred and the request cannot be processed.")
        return checked(old | tags)

    return await _change(call, given["Resource"], added)


async def untag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    gone = set(given["TagKeys"])
    return await _change(call, given["Resource"], lambda old: {k: v for k, v in old.items() if k not in gone})


async def list_tags(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = given["Resource"]
    if ":code-signing-config:" in arn:
        return {"Tags": await code_signing.tags_of(call, arn)}
    if mapping_tags.is_mapping(arn):
        return {"Tags": await mapping_tags.tags_of(call, arn)}
    return {"Tags": (await _function(call, arn)).tags}


def checked(tags: dict[str, str]) -> dict[str, str]:
    """Raises InvalidParameterValue for more tags than a resource may have."""
    if len(tags) > MAX_TAGS:
        raise InvalidParameterValue("Number of tags exceeds resource tag limit.")
    return tags


async def _change(call: Call, arn: str, change: Any) -> dict[str, Any]:
    if ":code-signing-config:" in arn:
        await code_signing.change_tags(call, arn, change)
        return {}
    if mapping_tags.is_mapping(arn):
        await mapping_tags.change_tags(call, arn, change)
        return {}
    while True:
        old = await _function(call, arn)
        tags = change(old.tags)
        if tags == old.tags or await _replace(call, old, tags):
            return {}


async def _replace(call: Call, old: FunctionRecord, tags: dict[str, str]) -> bool:
    """False: the function was changed meanwhile. A tag may change what the function reaches: then in new sandboxes."""
    egress = configuration.egress_of(tags)
    key = old.version.key if egress == old.version.egress else new_key()
    version = dataclasses.replace(old.version, egress=egress, key=key)
    new = dataclasses.replace(old, version=version, tags=tags, revision_id=new_revision())
    if not await call.backends.functions.replace(old, new):
        return False
    await call.backends.settler.spread(version, retired_keys=[old.version.key] if key != old.version.key else [])
    return True


async def _function(call: Call, arn: str) -> FunctionRecord:
    if ":function:" not in arn:
        kind = arn.split(":")[5].replace("-", " ").capitalize()
        raise ResourceNotFound(f"{kind} not found: {arn}")
    ref = function_ref(call, {"FunctionName": arn})
    if ref.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    record = await call.backends.functions.get(call.caller.account, call.caller.region, ref.name)
    if record is None:
        raise not_found(call, ref.name)
    return record


OPERATIONS = {"ListTags": list_tags, "TagResource": tag_resource, "UntagResource": untag_resource}
