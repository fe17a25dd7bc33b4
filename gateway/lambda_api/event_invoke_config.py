"""Put, Update, Get, Delete and List of FunctionEventInvokeConfig.

Source: Lambda API reference; messages and the order of the checks as recorded from AWS.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.call import Call
from gateway.lambda_api.names import function_ref
from gateway.lambda_api.paging import page_of
from hearth.arn import LATEST, FunctionRef, function_arn
from hearth.clock import now_ms
from hearth.errors import InvalidParameterValue, ResourceNotFound, ServiceError
from hearth.model.destination import DestinationKind, parse_destination
from hearth.model.event_config import EventInvokeConfig
from hearth.store.functions import Beside, Function, Put

PAGE = 50
_TRIES = 20


async def put_function_event_invoke_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _store(call, given, EventInvokeConfig(now_ms()))


async def update_function_event_invoke_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _store(call, given, None)


async def get_function_event_invoke_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function = await _function(call, ref)
    config = _config(function, ref.qualifier or LATEST) if function else None
    if config is None:
        raise _no_config(call, ref)
    return _shown(call, ref, config)


async def delete_function_event_invoke_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    for _ in range(_TRIES):
        function = await _function(call, ref)
        if function is None or _config(function, ref.qualifier or LATEST) is None:
            raise _no_config(call, ref)
        put = await call.backends.functions.put_beside(function, Beside.EVENT_INVOKE, ref.qualifier or LATEST, None)
        if put is Put.DONE:
            return {}
    raise ServiceError("The configuration changes too often just now; try again.")


async def list_function_event_invoke_configs(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function = await _function(call, ref)
    if function is None:
        raise ResourceNotFound("The function doesn't exist.")
    stored = list(function.all_beside(Beside.EVENT_INVOKE).items())
    found, marker = page_of(stored, given, name=lambda one: one[0], most=PAGE)
    configs = [_shown(call, FunctionRef(ref.name, name), EventInvokeConfig.from_json(data)) for name, data in found]
    return {"FunctionEventInvokeConfigs": configs, **marker}


async def _store(call: Call, given: dict[str, Any], base: EventInvokeConfig | None) -> dict[str, Any]:
    """base: what is not given stays as it is there; None: as it is in the stored configuration, which must exist."""
    destinations = given.get("DestinationConfig")
    if "MaximumRetryAttempts" not in given and "MaximumEventAgeInSeconds" not in given and destinations is None:
        raise InvalidParameterValue("You must specify at least one of error handling or destination setting.")
    ref = function_ref(call, given)
    qualifier = ref.qualifier or LATEST
    for _ in range(_TRIES):
        function = await _existing(call, ref)
        old = base or _config(function, qualifier)
        if old is None:
            raise _no_config(call, ref)
        new = dataclasses.replace(
            old,
            modified_at_ms=now_ms(),
            max_retries=given.get("MaximumRetryAttempts", old.max_retries),
            max_age_s=given.get("MaximumEventAgeInSeconds", old.max_age_s),
        )
        if destinations is not None:
            new = dataclasses.replace(
                new,
                on_success=_target(destinations, "OnSuccess", old.on_success),
                on_failure=_target(destinations, "OnFailure", old.on_failure),
            )
            await _check_destinations(call, ref, destinations)
        put = await call.backends.functions.put_beside(function, Beside.EVENT_INVOKE, qualifier, new.to_json())
        if put is Put.DONE:
            return _shown(call, ref, new)
    raise ServiceError("The configuration changes too often just now; try again.")


def _target(destinations: dict[str, Any], which: str, old: str) -> str:
    """An empty object, or an empty ARN in it, takes the destination away."""
    return str(destinations[which].get("Destination") or "") if which in destinations else old


async def _check_destinations(call: Call, ref: FunctionRef, destinations: dict[str, Any]) -> None:
    for which in ("OnSuccess", "OnFailure"):
        arn = (destinations.get(which) or {}).get("Destination") or ""
        if not arn:
            continue
        destination = parse_destination(arn)
        if destination is None or (destination.kind is DestinationKind.BUCKET and which == "OnSuccess"):
            raise InvalidParameterValue(f"The provided destination config {_as_aws_prints(destinations)} is invalid.")
        if destination.kind is DestinationKind.FUNCTION:
            place = destination.account, destination.region, destination.resource
            if place == (call.caller.account, call.caller.region, ref.name):
                raise InvalidParameterValue("You can't specify the function as a destination for itself.")
            # Whether another account's exists is none of ours to tell: its own policy decides when records come.
            own = destination.account == call.caller.account
            if own and await call.backends.functions.get(*place) is None:
                raise InvalidParameterValue(f"The destination ARN {arn} is invalid.")


def _as_aws_prints(destinations: dict[str, Any]) -> str:
    """A Java object's text."""
    parts = []
    for which in ("OnSuccess", "OnFailure"):
        arn = (destinations.get(which) or {}).get("Destination")
        parts.append(f"{which[0].lower()}{which[1:]}=" + (f"{which}(destination={arn})" if arn else "null"))
    return f"DestinationConfig({', '.join(parts)})"


async def _function(call: Call, ref: FunctionRef) -> Function | None:
    return await call.backends.functions.function(call.caller.account, call.caller.region, ref.name)


async def _existing(call: Call, ref: FunctionRef) -> Function:
    """The function, if it has that version or alias."""
    function, qualifier = await _function(call, ref), ref.qualifier or LATEST
    there = function is not None and (qualifier == LATEST or qualifier in function.aliases)
    if function is not None and qualifier.isdecimal():
        caller = call.caller
        there = await call.backends.functions.get(caller.account, caller.region, ref.name, qualifier) is not None
    if function is None or not there:
        raise ResourceNotFound("The function doesn't exist.")
    return function


def _config(function: Function, qualifier: str) -> EventInvokeConfig | None:
    data = function.beside_of(Beside.EVENT_INVOKE, qualifier)
    return None if data is None else EventInvokeConfig.from_json(data)


def _no_config(call: Call, ref: FunctionRef) -> ResourceNotFound:
    return ResourceNotFound(f"The function {_arn(call, ref)} doesn't have an EventInvokeConfig")


def _arn(call: Call, ref: FunctionRef) -> str:
    return function_arn(call.caller.region, call.caller.account, ref.name, ref.qualifier or LATEST)


def _shown(call: Call, ref: FunctionRef, config: EventInvokeConfig) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "LastModified": config.modified_at_ms / 1000,
        "FunctionArn": _arn(call, ref),
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success} if config.on_success else {},
            "OnFailure": {"Destination": config.on_failure} if config.on_failure else {},
        },
    }
    if config.max_retries is not None:
        shown["MaximumRetryAttempts"] = config.max_retries
    if config.max_age_s is not None:
        shown["MaximumEventAgeInSeconds"] = config.max_age_s
    return shown


OPERATIONS = {
    "DeleteFunctionEventInvokeConfig": delete_function_event_invoke_config,
    "GetFunctionEventInvokeConfig": get_function_event_invoke_config,
    "ListFunctionEventInvokeConfigs": list_function_event_invoke_configs,
    "PutFunctionEventInvokeConfig": put_function_event_invoke_config,
    "UpdateFunctionEventInvokeConfig": update_function_event_invoke_config,
}
