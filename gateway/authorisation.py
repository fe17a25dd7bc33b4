"""What policies call an operation and the resource it is about, so that a restricted caller can be judged.

Callers without policies of their own (an account's root, the development key) come here only with a call about
another account's function.
Source: Service Authorization Reference, "Actions, resources, and condition keys".
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from urllib.parse import unquote

from gateway.call import Call
from gateway.caller import Caller
from gateway.policy_subjects import subjects
from gateway.resource_policies import policy_of
from hearth.arn import function_arn, log_group_arn, parse_function_name
from hearth.errors import AccessDenied
from hearth.policies import Document

#: operations whose action has another name
_ACTIONS = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("lambda", "InvokeWithResponseStream"): "InvokeFunction",
}
#: anybody may ask who it is
_OPEN = {("sts", "GetCallerIdentity"), ("sts", "GetAccessKeyInfo"), ("sts", "GetSessionToken")}
#: members that hold the ARN of what a call is about, the most telling first
_ARNS = ("Resource", "resourceArn", "executionArn", "stateMachineArn", "activityArn", "mapRunArn", "RoleArn")

_ACCOUNT = re.compile(r"(?:arn:[^:]*:lambda:[^:]*:)?(\d{12}):")


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


def of_another_account(caller: Caller, given: dict[str, Any]) -> bool:
    """Whether a call is about a function of another account. Those of layers are judged where layers are."""
    name = given.get("FunctionName")
    if not isinstance(name, str) or ":" not in name:
        return False
    match = _ACCOUNT.match(name)
    return match is not None and match[1] != caller.account


async def authorise(call: Call, service: str, operation: str, given: dict[str, Any]) -> None:
    """Raises AccessDenied unless the caller's policies and the resource's together allow the operation.

    Of a call about another account's resource that is allowed, `call.caller` acts in that account from then on.
    """
    if (service, operation) in _OPEN:
        return
    if service in ("kinesis", "dynamodb"):
        for action, resource in subjects(service, operation, given, call.caller.account, call.caller.region):
            call.caller.check(action, resource)
        return
    caller, action, resource = call.caller, action_of(service, operation), resource_of(call, service, given)
    if service == "apigateway":  # its actions are HTTP's methods, its resources the API's own paths
        action = f"apigateway:{call.request.method}"
        resource = f"arn:aws:apigateway:{caller.region}::{unquote(call.request.path).removeprefix('/v2')}"
    if not of_another_account(caller, given):
        caller.check(action, resource, resource_policy=await _function_policy(call, given, caller.account))
        return
    account = resource.split(":")[4]
    policy = await _function_policy(call, given, account)
    try:
        caller.check(action, resource, resource_policy=policy, resource_account=account)
    except AccessDenied as exc:
        # Recorded from AWS: across accounts nothing is told, not even whether it exists.
        raise AccessDenied() from exc
    call.caller = dataclasses.replace(caller, account=account)


async def _function_policy(call: Call, given: dict[str, Any], account: str) -> Document | None:
    ref = parse_function_name(given.get("FunctionName") or "")
    if ref is None:
        return None
    function = await call.backends.functions.function(account, call.caller.region, ref.name)
    policy = policy_of(function, given.get("Qualifier") or ref.qualifier) if function else None
    return policy.document if policy else None
