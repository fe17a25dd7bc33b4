"""Activities: create, describe, list, delete. What workers do with their tasks is in task_callbacks.py."""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from gateway.states_api import pages
from gateway.states_api.names import check_name, no_activity, workflow_arn
from gateway.states_api.tags import tags_of
from hearth.model.state_machine import Activity

OWN_KEY = {"type": "AWS_OWNED_KEY"}


async def create_activity(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """One of the name that exists is answered as it is."""
    activity = Activity(
        account=call.caller.account,
        region=call.caller.region,
        name=check_name(given["name"]),
        created_at_ms=call.backends.clock.now_ms(),
        encryption=given.get("encryptionConfiguration") or OWN_KEY,
        tags=tags_of(given.get("tags", [])),
    )
    stored = await call.backends.machines.create_activity(activity)
    return {"activityArn": stored.arn, "creationDate": stored.created_at_ms / 1000}


async def describe_activity(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    activity = await existing(call, given["activityArn"])
    return {
        "activityArn": activity.arn,
        "name": activity.name,
        "creationDate": activity.created_at_ms / 1000,
        "encryptionConfiguration": activity.encryption,
    }


async def delete_activity(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """One that isn't there: nothing to do."""
    arn = workflow_arn(given["activityArn"], "activity")
    await call.backends.machines.delete_activity(call.caller.account, call.caller.region, arn.name)
    return {}


async def list_activities(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    activities = await call.backends.machines.activities(call.caller.account, call.caller.region)
    found, token = pages.page(activities, given, "activities")
    return {
        "activities": [
            {"activityArn": one.arn, "name": one.name, "creationDate": one.created_at_ms / 1000} for one in found
        ],
        "nextToken": token,
    }


async def existing(call: Call, text: str) -> Activity:
    """Raises ActivityDoesNotExist."""
    arn = workflow_arn(text, "activity")
    activity = None
    if (arn.account, arn.region) == (call.caller.account, call.caller.region):
        activity = await call.backends.machines.activity(arn.account, arn.region, arn.name)
    if activity is None:
        raise no_activity(text)
    return activity
