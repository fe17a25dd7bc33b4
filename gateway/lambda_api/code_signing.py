"""Code signing configurations, and the one that a function has: kept and shown, as deploy tools expect.

Hearth checks no signature: a package that AWS would refuse for want of one is taken. Source: Lambda API reference,
CodeSigningConfig; messages and the order of the checks as recorded from AWS.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import Any

from gateway.call import Call
from gateway.lambda_api.configuration import timestamp
from gateway.lambda_api.names import find_function, function_ref
from gateway.lambda_api.paging import page_of
from hearth.arn import function_arn
from hearth.clock import now_ms
from hearth.errors import ApiError, ResourceConflict, ResourceNotFound
from hearth.store.functions import Beside, Put

PAGE = 50
_ID_LETTERS = string.ascii_lowercase + string.digits


async def create_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    account, region = _where(call)
    config_id = "csc-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(17))
    policies = given.get("CodeSigningPolicies") or {}
    members = {
        "CodeSigningConfigId": config_id,
        "CodeSigningConfigArn": f"arn:aws:lambda:{region}:{account}:code-signing-config:{config_id}",
        "AllowedPublishers": given["AllowedPublishers"],
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"} | policies,
        "Description": given.get("Description", ""),
        "LastModified": timestamp(now_ms()),
        # answered by ListTags only
        "Tags": given.get("Tags") or {},
    }
    await call.backends.code_signing.put(account, region, config_id, members)
    return {"CodeSigningConfig": members}


async def update_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    members = await _found(call, given["CodeSigningConfigArn"])
    changes = {
        name: given[name] for name in ("AllowedPublishers", "CodeSigningPolicies", "Description") if name in given
    }
    new = members | changes | {"LastModified": timestamp(now_ms())}
    await call.backends.code_signing.put(*_where(call), new["CodeSigningConfigId"], new)
    return {"CodeSigningConfig": new}


async def get_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return {"CodeSigningConfig": await _found(call, given["CodeSigningConfigArn"])}


async def list_code_signing_configs(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    configs = await call.backends.code_signing.all(*_where(call))
    shown, more = page_of(configs, given, name=lambda one: one["CodeSigningConfigId"], most=PAGE)
    return {"CodeSigningConfigs": list(shown), **more}


async def delete_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = given["CodeSigningConfigArn"]
    members = await _found(call, arn)
    if await _functions(call, arn):
        raise ResourceConflict(f"The code signing configuration {arn} can't be deleted while functions have it.")
    await call.backends.code_signing.delete(*_where(call), members["CodeSigningConfigId"])
    return {}


async def put_function_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref, arn = function_ref(call, given), given["CodeSigningConfigArn"]
    await check_known(call, arn)
    while True:
        function = await find_function(call, ref)
        if await call.backends.functions.put_beside(function, Beside.CODE_SIGNING, "", arn.encode()) is Put.DONE:
            return {"CodeSigningConfigArn": arn, "FunctionName": ref.name}


async def get_function_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Nothing but its status for a function without one."""
    ref = function_ref(call, given)
    arn = (await find_function(call, ref)).beside_of(Beside.CODE_SIGNING)
    return {"CodeSigningConfigArn": arn.decode(), "FunctionName": ref.name} if arn else {}


async def delete_function_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    while True:
        function = await find_function(call, ref)
        if await call.backends.functions.put_beside(function, Beside.CODE_SIGNING, "", None) is Put.DONE:
            return {}


async def list_functions_by_code_signing_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await _found(call, given["CodeSigningConfigArn"])
    names = await _functions(call, given["CodeSigningConfigArn"])
    shown, more = page_of(names, given, name=str, most=PAGE)
    account, region = _where(call)
    return {"FunctionArns": [function_arn(region, account, name) for name in shown], **more}


async def check_known(call: Call, arn: str) -> None:
    """Raises CodeSigningConfigNotFoundException: a function can't get this one."""
    if await _get(call, arn) is None:
        raise ApiError(
            "CodeSigningConfigNotFoundException",
            404,
            "The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
            f"{arn}.",
        )


async def tags_of(call: Call, arn: str) -> dict[str, str]:
    return (await _found(call, arn)).get("Tags", {})


async def change_tags(call: Call, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    members = await _found(call, arn)
    new = members | {"Tags": change(members.get("Tags", {}))}
    await call.backends.code_signing.put(*_where(call), new["CodeSigningConfigId"], new)


async def _found(call: Call, arn: str) -> dict[str, Any]:
    members = await _get(call, arn)
    if members is None:
        raise ResourceNotFound(f"The Lambda code signing configuration {arn} can not be found.", Type=None)
    return members


async def _get(call: Call, arn: str) -> dict[str, Any] | None:
    members = await call.backends.code_signing.get(*_where(call), arn.rpartition(":")[2])
    return members if members and members["CodeSigningConfigArn"] == arn else None


async def _functions(call: Call, arn: str) -> list[str]:
    """Names of the functions that have it."""
    found = await call.backends.functions.with_beside(*_where(call), Beside.CODE_SIGNING)
    return [name for name, data in found.items() if data == arn.encode()]


def _where(call: Call) -> tuple[str, str]:
    return call.caller.account, call.caller.region
