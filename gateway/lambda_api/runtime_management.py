"""PutRuntimeManagementConfig, GetRuntimeManagementConfig: kept and shown.

What runs a function here is what the workers have installed; the setting changes nothing about that. Source: Lambda
API reference, PutRuntimeManagementConfig.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.call import Call
from gateway.lambda_api.names import find_function, function_ref, not_found
from hearth.arn import LATEST, FunctionRef, function_arn
from hearth.errors import InvalidParameterValue
from hearth.store.functions import Beside, Function, Put

_DEFAULT = {"UpdateRuntimeOn": "Auto"}


async def put_runtime_management_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref, mode, arn = function_ref(call, given), given["UpdateRuntimeOn"], given.get("RuntimeVersionArn")
    if mode == "Manual" and not arn:
        raise InvalidParameterValue("RuntimeVersionArn is required when UpdateRuntimeOn is set to Manual.")
    if mode != "Manual" and arn:
        raise InvalidParameterValue("RuntimeVersionArn can only be given when UpdateRuntimeOn is set to Manual.")
    members = {"UpdateRuntimeOn": mode} | ({"RuntimeVersionArn": arn} if arn else {})
    while True:
        function, qualifier = await _version(call, ref)
        put = await call.backends.functions.put_beside(
            function, Beside.RUNTIME_MANAGEMENT, qualifier, orjson.dumps(members)
        )
        if put is Put.DONE:
            return _answer(call, ref, members)


async def get_runtime_management_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function, qualifier = await _version(call, ref)
    data = function.beside_of(Beside.RUNTIME_MANAGEMENT, qualifier)
    return _answer(call, ref, orjson.loads(data) if data else _DEFAULT)


async def _version(call: Call, ref: FunctionRef) -> tuple[Function, str]:
    """The function, and the version's number ("" for `$LATEST`). Aliases have no setting of their own."""
    number = ref.qualifier or LATEST
    if number != LATEST and not number.isdecimal():
        raise InvalidParameterValue("Runtime management configurations belong to $LATEST or a published version.")
    function = await find_function(call, ref)
    if number == LATEST:
        return function, ""
    if await call.backends.functions.get(call.caller.account, call.caller.region, ref.name, number) is None:
        raise not_found(call, ref.name, number)
    return function, number


def _answer(call: Call, ref: FunctionRef, members: dict[str, Any]) -> dict[str, Any]:
    arn = function_arn(call.caller.region, call.caller.account, ref.name, ref.qualifier)
    return {"FunctionArn": arn, **members}
