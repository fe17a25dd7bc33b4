"""CreateAlias, GetAlias, ListAliases, UpdateAlias, DeleteAlias.

A change is answered when every gateway knows it: the next request through any of them goes where the alias now
points. Source: Lambda API reference, AliasConfiguration; answers and the order of the checks as recorded from AWS.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.call import Call
from gateway.lambda_api.names import find_function, function_ref
from gateway.lambda_api.paging import page_of
from gateway.lambda_api.versions import check_revision, find_version, new_revision
from hearth.arn import LATEST, FunctionRef, function_arn
from hearth.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from hearth.model.function import Alias
from hearth.store.functions import Function, Put

PAGE = 50


async def create_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref, name = function_ref(call, given), given["Name"]
    _check_weights(given["FunctionVersion"], _weights(given))
    alias = Alias(name, given["FunctionVersion"], new_revision(), given.get("Description", ""), _weights(given))
    while True:
        await _check_versions(call, ref, alias)
        function = await find_function(call, ref)
        if name in function.aliases:
            raise ResourceConflict(f"Alias already exists: {_arn(call, ref, name)}")
        if await _put(call, function, name, alias):
            return _answer(call, ref, alias)


async def get_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function = await call.backends.functions.function(call.caller.account, call.caller.region, ref.name)
    alias = function.aliases.get(given["Name"]) if function else None
    if alias is None:
        raise ResourceNotFound(f"Cannot find alias arn: {_arn(call, ref, given['Name'])}")
    return _answer(call, ref, alias)


async def list_aliases(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function = await find_function(call, ref)
    version = given.get("FunctionVersion")
    aliases = [alias for alias in function.aliases.values() if version is None or version in alias.versions]
    shown, more = page_of(aliases, given, name=lambda alias: alias.name, most=PAGE)
    return {"Aliases": [_answer(call, ref, alias) for alias in shown], **more}


async def update_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref, name = function_ref(call, given), given["Name"]
    while True:
        function = await call.backends.functions.function(call.caller.account, call.caller.region, ref.name)
        old = function.aliases.get(name) if function else None
        if function is None or old is None:
            raise ResourceNotFound(f"Alias not found: {_arn(call, ref, name)}")
        new = dataclasses.replace(
            old,
            version=given.get("FunctionVersion", old.version),
            description=given.get("Description", old.description),
            weights=_weights(given) if "RoutingConfig" in given else old.weights,
            revision_id=new_revision(),
        )
        _check_weights(new.version, new.weights)
        await _check_versions(call, ref, new)
        check_revision(given, old.revision_id)
        if await _put(call, function, name, new):
            return _answer(call, ref, new)


async def delete_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """One that isn't there is no error."""
    ref, name = function_ref(call, given), given["Name"]
    while True:
        function = await find_function(call, ref)
        if name not in function.aliases or await _put(call, function, name, None):
            return {}


async def _put(call: Call, function: Function, name: str, alias: Alias | None) -> bool:
    """Store it and have every gateway know. False: the function was changed meanwhile, so it is to be read again."""
    if await call.backends.functions.put_alias(function, name, alias) is not Put.DONE:
        return False
    await call.backends.settler.spread(function.latest.version)
    return True


async def _check_versions(call: Call, ref: FunctionRef, alias: Alias) -> None:
    for number in alias.versions:
        await find_version(call, ref, number)


def _check_weights(version: str, weights: dict[str, float]) -> None:
    if len(weights) > 1:
        raise InvalidParameterValue("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if weights and version == LATEST:
        raise InvalidParameterValue("$LATEST is not supported for an alias pointing to more than 1 version", Type=None)
    if version in weights:
        raise InvalidParameterValue(
            f"Invalid function version {version}. Function version {version} is already included in routing "
            "configuration."
        )


def _weights(given: dict[str, Any]) -> dict[str, float]:
    return dict((given.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})


def _arn(call: Call, ref: FunctionRef, name: str) -> str:
    return function_arn(call.caller.region, call.caller.account, ref.name, name)


def _answer(call: Call, ref: FunctionRef, alias: Alias) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AliasArn": _arn(call, ref, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }
    if alias.weights:
        shown["RoutingConfig"] = {"AdditionalVersionWeights": alias.weights}
    return shown
