"""CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig, DeleteFunctionUrlConfig,
ListFunctionUrlConfigs.

Source: Lambda API reference, FunctionUrlConfig; answers as recorded from AWS.
"""

from __future__ import annotations

import dataclasses
import secrets
import string
from typing import Any

from gateway.call import Call
from gateway.front_doors.addresses import function_url
from gateway.lambda_api.names import function_ref
from gateway.lambda_api.paging import page_of
from gateway.protocols.validate import detected, problem
from hearth.arn import FunctionRef, function_arn
from hearth.clock import iso_time, now_ms
from hearth.errors import ResourceConflict, ResourceNotFound, ValidationFailed
from hearth.model.function_url import BUFFERED, RESPONSE_STREAM, FunctionUrl
from hearth.store.functions import Beside, Function, Put
from hearth.store.urls import UrlOwner

PAGE = 50
ID_LENGTH = 32
#: a tag of the function that chooses its URLs' ids, as the tools of this field know it
ID_TAG = "_custom_id_"
_NO_FUNCTION = "Function does not exist"
_NO_CONFIG = "The resource you requested does not exist."


async def create_function_url_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    _check_mode(given)
    ref = function_ref(call, given)
    now = now_ms()
    while True:
        function = await _function(call, ref, _NO_FUNCTION)
        if function.beside_of(Beside.URL, ref.qualifier or "") is not None:
            raise ResourceConflict(
                f"Failed to create function url config for [functionArn = {_arn(call, ref)}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        url = FunctionUrl(
            id=await _claimed(call, ref, function),
            auth_type=given["AuthType"],
            created_ms=now,
            modified_ms=now,
            invoke_mode=given.get("InvokeMode", ""),
            cors=given.get("Cors"),
        )
        if await _put(call, function, ref, url):
            shown = _answer(call, ref, url)
            del shown["LastModifiedTime"]
            return shown


async def get_function_url_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    url = _config(await _function(call, ref, _NO_CONFIG), ref)
    return {"InvokeMode": BUFFERED} | _answer(call, ref, url)


async def update_function_url_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    _check_mode(given)
    ref = function_ref(call, given)
    while True:
        function = await _function(call, ref, _NO_FUNCTION)
        old = _config(function, ref)
        new = dataclasses.replace(
            old,
            auth_type=given.get("AuthType", old.auth_type),
            invoke_mode=given.get("InvokeMode", old.invoke_mode),
            cors=given["Cors"] or None if "Cors" in given else old.cors,
            modified_ms=now_ms(),
        )
        if await _put(call, function, ref, new):
            return _answer(call, ref, new)


async def delete_function_url_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    while True:
        function = await _function(call, ref, _NO_CONFIG)
        url = _config(function, ref)
        if await _put(call, function, ref, None):
            await call.backends.urls.release(url.id)
            return {}


async def list_function_url_configs(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function = await _function(call, FunctionRef(ref.name), _NO_FUNCTION)
    found = [(qualifier, FunctionUrl.from_json(data)) for qualifier, data in function.all_beside(Beside.URL).items()]
    shown, more = page_of(found, given, name=lambda entry: entry[1].id, most=PAGE)
    configs = [
        {"InvokeMode": BUFFERED} | _answer(call, FunctionRef(ref.name, qualifier or None), url)
        for qualifier, url in shown
    ]
    return {"FunctionUrlConfigs": configs, **more}


def _check_mode(given: dict[str, Any]) -> None:
    """AWS names the modes in another order than its own model."""
    mode = given.get("InvokeMode")
    if mode not in (None, BUFFERED, RESPONSE_STREAM):
        rule = f"Member must satisfy enum value set: [{RESPONSE_STREAM}, {BUFFERED}]"
        raise ValidationFailed(detected([problem(mode, "invokeMode", rule)]))


async def _function(call: Call, ref: FunctionRef, missing: str) -> Function:
    """The function, if it has the alias that is asked for. Raises ResourceNotFound with the text `missing`."""
    function = await call.backends.functions.function(call.caller.account, call.caller.region, ref.name)
    if function is None or (ref.qualifier is not None and ref.qualifier not in function.aliases):
        raise ResourceNotFound(missing)
    return function


def _config(function: Function, ref: FunctionRef) -> FunctionUrl:
    data = function.beside_of(Beside.URL, ref.qualifier or "")
    if data is None:
        raise ResourceNotFound(_NO_CONFIG)
    return FunctionUrl.from_json(data)


async def _claimed(call: Call, ref: FunctionRef, function: Function) -> str:
    """An id that belongs to this function or alias from now on."""
    caller = call.caller
    owner = UrlOwner(caller.account, caller.region, ref.name, ref.qualifier or "")
    wanted = function.latest.tags.get(ID_TAG)
    if wanted is not None:
        chosen = f"{wanted}-{ref.qualifier}" if ref.qualifier else wanted
        if await call.backends.urls.claim(chosen, owner):
            return chosen
    while True:
        made = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(ID_LENGTH))
        if await call.backends.urls.claim(made, owner):
            return made


async def _put(call: Call, function: Function, ref: FunctionRef, url: FunctionUrl | None) -> bool:
    """Store it and have every gateway know. False: the function was changed meanwhile, so it is to be read again."""
    data = url.to_json() if url else None
    put = await call.backends.functions.put_beside(function, Beside.URL, ref.qualifier or "", data)
    if put is not Put.DONE:
        return False
    await call.backends.settler.spread(function.latest.version)
    return True


def _arn(call: Call, ref: FunctionRef) -> str:
    return function_arn(call.caller.region, call.caller.account, ref.name, ref.qualifier)


def _answer(call: Call, ref: FunctionRef, url: FunctionUrl) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "FunctionUrl": function_url(call.backends.settings, url.id, call.caller.region),
        "FunctionArn": _arn(call, ref),
        "AuthType": url.auth_type,
        "CreationTime": iso_time(url.created_ms),
        "LastModifiedTime": iso_time(url.modified_ms),
    }
    if url.cors is not None:
        shown["Cors"] = url.cors
    if url.invoke_mode:
        shown["InvokeMode"] = url.invoke_mode
    return shown
