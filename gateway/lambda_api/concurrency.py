"""Reserved and provisioned concurrency: Put, Get, Delete, List.

Source: Lambda API reference; messages and the order of the checks as recorded from AWS.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

from gateway.call import Call
from gateway.lambda_api.names import function_only, function_ref, not_found
from gateway.lambda_api.paging import page_of
from gateway.lambda_api.versions import new_revision
from hearth.arn import LATEST, FunctionRef, function_arn
from hearth.clock import now_ms
from hearth.errors import ApiError, InvalidParameterValue, ResourceConflict, ResourceNotFound, ServiceError
from hearth.model.concurrency import AccountConcurrency, Provisioned
from hearth.model.provision import served_before, shares_of
from hearth.store import slots
from hearth.store.concurrency import concurrency_of, provisioned_of
from hearth.store.functions import Beside, Function

PAGE = 50
#: a write is decided anew when a function changed meanwhile; on a busy platform another one changes all the time
_TRIES = 50


async def put_function_concurrency(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _unqualified(call, given)
    wanted = given["ReservedConcurrentExecutions"]
    minimum = call.backends.settings.unreserved_concurrency

    def decide(_function: Function, account: AccountConcurrency) -> bytes:
        if refusal := account.refuse_reserved(ref.name, wanted, minimum=minimum):
            raise _without_type(refusal)
        return str(wanted).encode()

    await _write(call, ref.name, Beside.CONCURRENCY, "", decide, missing=not_found(call, ref.name, LATEST))
    return {"ReservedConcurrentExecutions": wanted}


async def get_function_concurrency(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _unqualified(call, given)
    function = await _function(call, ref.name)
    if function is None:
        raise not_found(call, ref.name)
    reserved = concurrency_of(function).reserved
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


async def delete_function_concurrency(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _unqualified(call, given)
    await _write(call, ref.name, Beside.CONCURRENCY, "", lambda _f, _a: None, missing=not_found(call, ref.name, LATEST))
    return {}


async def put_provisioned_concurrency_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _qualified(call, given, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
    wanted, qualifier = given["ProvisionedConcurrentExecutions"], ref.qualifier or ""
    minimum = call.backends.settings.unreserved_concurrency
    function = await _existing(call, ref)
    new = Provisioned(wanted, now_ms())

    def decide(function: Function, account: AccountConcurrency) -> bytes:
        _refuse_overlap(function, qualifier)
        if refusal := account.refuse_provisioned(ref.name, qualifier, wanted, minimum=minimum):
            if "reservedConcurrentExecution" in refusal:
                raise InvalidParameterValue(refusal)
            raise _without_type(refusal)
        return new.to_json()

    await _write(call, ref.name, Beside.PROVISIONED, qualifier, decide, missing=_missing(call, ref))
    await _revise(call, function, qualifier)
    return _shown(new, ready=0, status="IN_PROGRESS")


async def get_provisioned_concurrency_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _qualified(call, given, "The function resource provided must be an alias or a published version.")
    function = await _existing(call, ref)
    one = provisioned_of(function).get(ref.qualifier or "")
    if one is None:
        raise ApiError(
            "ProvisionedConcurrencyConfigNotFoundException",
            404,
            "No Provisioned Concurrency Config found for this function",
        )
    return await _answer(call, function, ref.qualifier or "", one)


async def delete_provisioned_concurrency_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = _qualified(call, given, "The function resource provided must be an alias or a published version.")
    await _existing(call, ref)
    await _write(
        call, ref.name, Beside.PROVISIONED, ref.qualifier or "", lambda _f, _a: None, missing=_missing(call, ref)
    )
    return {}


async def list_provisioned_concurrency_configs(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function = await _function(call, ref.name)
    if function is None:
        raise not_found(call, ref.name)
    stored = list(provisioned_of(function).items())
    found, marker = page_of(stored, given, name=lambda one: one[0], most=PAGE)
    arn = function.latest.version.arn
    configs = [{"FunctionArn": f"{arn}:{name}", **await _answer(call, function, name, one)} for name, one in found]
    return {"ProvisionedConcurrencyConfigs": configs, **marker}


# --- names --------------------------------------------------------------------------------------------------------


def _unqualified(call: Call, given: dict[str, Any]) -> FunctionRef:
    ref = function_ref(call, given)
    function_only(ref)
    return ref


def _qualified(call: Call, given: dict[str, Any], refusal: str) -> FunctionRef:
    ref = function_ref(call, given)
    if ref.qualifier in (None, LATEST):
        raise InvalidParameterValue(refusal)
    return ref


async def _function(call: Call, name: str) -> Function | None:
    return await call.backends.functions.function(call.caller.account, call.caller.region, name)


async def _existing(call: Call, ref: FunctionRef) -> Function:
    """The function, if it has that version or alias."""
    function = await _function(call, ref.name)
    qualifier = ref.qualifier or ""
    if function is None:
        raise _missing(call, ref)
    if qualifier.isdecimal():
        caller = call.caller
        if await call.backends.functions.get(caller.account, caller.region, ref.name, qualifier) is None:
            raise _missing(call, ref)
    elif qualifier not in function.aliases:
        raise _missing(call, ref)
    return function


def _missing(call: Call, ref: FunctionRef) -> ResourceNotFound:
    qualifier = ref.qualifier or ""
    if qualifier.isdecimal():
        return not_found(call, ref.name, qualifier)
    return ResourceNotFound(
        f"Cannot find alias arn: {function_arn(call.caller.region, call.caller.account, ref.name, qualifier)}"
    )


# --- writing ------------------------------------------------------------------------------------------------------


async def _write(
    call: Call,
    name: str,
    kind: Beside,
    qualifier: str,
    decide: Callable[[Function, AccountConcurrency], bytes | None],
    *,
    missing: ResourceNotFound,
) -> None:
    """Write what `decide` says (None: remove), in force in every gateway when this returns.

    decide: from the function and its account's concurrency; raises what refuses it.
    """
    backends, caller = call.backends, call.caller
    place = (caller.account, caller.region, name)
    for _ in range(_TRIES):
        epoch = await backends.concurrency.epoch()
        function = await backends.functions.function(*place)
        if function is None:
            raise missing
        value = decide(function, await backends.concurrency.account(caller.account, caller.region))
        if await backends.concurrency.put(place, epoch, f"{kind}:{qualifier}", value):
            return await backends.settler.spread(function.latest.version)
        await asyncio.sleep(0.01)
    raise ServiceError("Functions change too often just now; try again.")


async def _revise(call: Call, function: Function, qualifier: str) -> None:
    """The versions that were provisioned have a new revision then, as recorded from AWS."""
    functions, latest = call.backends.functions, function.latest.version
    for number in shares_of(qualifier, 0, function.aliases):
        record = await functions.get(latest.account, latest.region, latest.name, number)
        # one that is to settle has a new revision then; who has changed it meanwhile has given it one
        if record is not None and record.settled:
            await functions.replace(record, dataclasses.replace(record, revision_id=new_revision()))


def _refuse_overlap(function: Function, qualifier: str) -> None:
    """A version may be provisioned through one name only: its own number or an alias."""
    others = provisioned_of(function).keys() - {qualifier}
    if qualifier.isdecimal():
        if any(qualifier in alias.versions for name, alias in function.aliases.items() if name in others):
            raise ResourceConflict("Version is pointed by a Provisioned Concurrency alias")
    elif others & set(function.aliases[qualifier].versions):
        raise ResourceConflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        )


def _without_type(message: str) -> ApiError:
    """AWS leaves `Type` out of these."""
    return ApiError("InvalidParameterValueException", 400, message, Type=None)


# --- answers ------------------------------------------------------------------------------------------------------


async def _answer(call: Call, function: Function, qualifier: str, one: Provisioned) -> dict[str, Any]:
    caller, ready, keys = call.caller, 0, []
    before = served_before(qualifier, provisioned_of(function), function.aliases)
    for number, wanted in shares_of(qualifier, one.wanted, function.aliases).items():
        record = await call.backends.functions.get(caller.account, caller.region, function.latest.version.name, number)
        if record is not None:
            _, count = await slots.count_provisioned(call.backends.stores.coordination, record.version.key)
            ready += max(0, min(count - before.get(number, 0), wanted))
            keys.append(record.version.key)
    if one.failure and set(keys) & set(one.failed_for):
        return _shown(one, ready=ready, status="FAILED") | {"StatusReason": one.failure}
    return _shown(one, ready=ready, status="READY" if ready >= one.wanted else "IN_PROGRESS")


def _shown(one: Provisioned, *, ready: int, status: str) -> dict[str, Any]:
    at = datetime.datetime.fromtimestamp(one.modified_at_ms / 1000, datetime.UTC)
    return {
        "RequestedProvisionedConcurrentExecutions": one.wanted,
        "AvailableProvisionedConcurrentExecutions": ready,
        "AllocatedProvisionedConcurrentExecutions": ready,
        "Status": status,
        "LastModified": f"{at:%Y-%m-%dT%H:%M:%S}+0000",
    }


OPERATIONS = {
    "DeleteFunctionConcurrency": delete_function_concurrency,
    "DeleteProvisionedConcurrencyConfig": delete_provisioned_concurrency_config,
    "GetFunctionConcurrency": get_function_concurrency,
    "GetProvisionedConcurrencyConfig": get_provisioned_concurrency_config,
    "ListProvisionedConcurrencyConfigs": list_provisioned_concurrency_configs,
    "PutFunctionConcurrency": put_function_concurrency,
    "PutProvisionedConcurrencyConfig": put_provisioned_concurrency_config,
}
