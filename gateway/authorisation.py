"""What policies call an operation and the resource it is about, so that a restricted caller can be judged.

Callers without policies of their own (an account's root, the development key) never come here.
Source: Service Authorization Reference, "Actions, resources, and condition keys".
"""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from hearth.arn import function_arn, log_group_arn, parse_function_name

#: operations whose action has another name
_ACTIONS = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("lambda", "InvokeWithResponseStream"): "InvokeFunction",
}
#: anybody may ask who it is
_OPEN = {("sts", "GetCallerIdentity"), ("sts", "GetAccessKeyInfo"), ("sts", "GetSessionToken")}
#: members that hold the ARN of what a call is about, the most telling first
_ARNS = ("Resource", "resourceArn", "executionArn", "stateMachineArn", "activityArn", "mapRunArn", "RoleArn")


def action_of(service: str, operation: str) -> str:
    return f"{service}:{_ACTIONS.get((service, operation), operation)}"


def resource_of(call: Call, service: str, given: dict[str, Any]) -> str:
    """An ARN, or `*` where an operation is about no resource in particular."""
    caller = call.caller
    for member in _ARNS:
        if isinstance(value := given.get(member), str) and value.startswith("arn:"):
            return value
    if service == "lambda":
        where = f"arn:aws:lambda:{caller.region}:{caller.account}"
        if (name := given.get("FunctionName")) and (ref := parse_function_name(name)) is not None:
            qualifier = given.get("Qualifier") or ref.qualifier
            return function_arn(ref.region or caller.region, ref.account or caller.account, ref.name, qualifier)
        if layer := given.get("LayerName"):
            arn = layer if layer.startswith("arn:") else f"{where}:layer:{layer}"
            return f"{arn}:{given['VersionNumber']}" if "VersionNumber" in given else arn
        if uuid := given.get("UUID"):
            return f"{where}:event-source-mapping:{uuid}"
    if service == "logs" and (group := given.get("logGroupName")):
        return log_group_arn(caller.region, caller.account, group)
    if service == "states" and (name := given.get("name")):
        return f"arn:aws:states:{caller.region}:{caller.account}:stateMachine:{name}"
    return "*"


def check(call: Call, service: str, operation: str, given: dict[str, Any]) -> None:
    """Raises AccessDenied unless the caller's policies allow the operation."""
    if (service, operation) not in _OPEN:
        call.caller.check(action_of(service, operation), resource_of(call, service, given))
