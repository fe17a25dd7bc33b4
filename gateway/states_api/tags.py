"""Tags of state machines and activities."""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.call import Call
from gateway.states_api.names import no_resource, workflow_arn
from hearth.errors import ApiError
from hearth.model.state_machine import Activity
from hearth.store.machines import Change, Read

#: of one resource (Step Functions quotas)
MAX_TAGS = 50
_TRIES = 10


def tags_of(given: list[dict[str, str]], arn: str = "") -> dict[str, str]:
    """[{key, value}] as a mapping. Raises TooManyTags."""
    tags = {tag.get("key", ""): tag.get("value", "") for tag in given}
    _check_count(tags, arn)
    return tags


async def tag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    new = {tag.get("key", ""): tag.get("value", "") for tag in given["tags"]}
    return await _change(call, given["resourceArn"], lambda tags: tags | new)


async def untag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    gone = set(given["tagKeys"])
    return await _change(
        call, given["resourceArn"], lambda tags: {key: value for key, value in tags.items() if key not in gone}
    )


async def list_tags_for_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    found = await _find(call, given["resourceArn"])
    tags = found.tags if isinstance(found, Activity) else found.machine.tags
    return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


async def _change(call: Call, arn: str, change: Any) -> dict[str, Any]:
    for _ in range(_TRIES):
        found = await _find(call, arn)
        if isinstance(found, Activity):
            tags = change(found.tags)
            _check_count(tags, arn)
            await call.backends.machines.replace_activity(dataclasses.replace(found, tags=tags))
            return {}
        tags = change(found.machine.tags)
        _check_count(tags, arn)
        changed = dataclasses.replace(found.machine, tags=tags)
        if await call.backends.machines.write(Change(changed), read=found):
            return {}
    raise ApiError("ConflictException", 400, "The resource is being changed by others. Try again.")


async def _find(call: Call, text: str) -> Read | Activity:
    """Raises ResourceNotFound; versions and aliases have no tags."""
    arn = workflow_arn(text, "stateMachine", "activity")
    found: Read | Activity | None = None
    if not arn.rest:
        table = call.backends.machines
        get = table.activity if arn.kind == "activity" else table.get
        found = await get(arn.account, arn.region, arn.name)
    if found is None:
        raise no_resource(text)
    return found


def _check_count(tags: dict[str, str], arn: str) -> None:
    if len(tags) > MAX_TAGS:
        raise ApiError(
            "TooManyTags", 400, f"The resource may have at most {MAX_TAGS} tags.", resourceName=arn or "resource"
        )
