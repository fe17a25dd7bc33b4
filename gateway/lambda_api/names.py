"""FunctionName and Qualifier of a call, checked in AWS's order and words."""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from gateway.protocols.validate import detected, problem
from hearth.arn import FunctionRef, function_arn, parse_function_name
from hearth.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from hearth.store.functions import Function, FunctionRecord

MAX_NAME = 64
#: above every weight: the version that an alias points to
_NO_DRAW = 1.0


def function_ref(call: Call, given: dict[str, Any]) -> FunctionRef:
    """Name and qualifier; the qualifier comes from the name or from `Qualifier`.

    Raises InvalidParameterValue, ResourceNotFound (other region), AccessDenied (other account).
    """
    text = given["FunctionName"]
    ref = parse_function_name(text)
    if ref is None:
        raise InvalidParameterValue(f"{text} is not a function name or ARN")
    caller = call.caller
    if ref.region is not None and ref.region != caller.region:
        raise ResourceNotFound(f"Functions from '{ref.region}' are not reachable in this region ('{caller.region}')")
    if ref.account is not None and ref.account != caller.account:
        raise AccessDenied()
    qualifier = given.get("Qualifier")
    if qualifier is not None and ref.qualifier is not None and qualifier != ref.qualifier:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return FunctionRef(ref.name, ref.qualifier or qualifier)


def check_length(ref: FunctionRef) -> None:
    """Of a function to be made: elsewhere AWS takes a longer name for one that isn't there."""
    if len(ref.name) > MAX_NAME:
        rule = f"Member must have length less than or equal to {MAX_NAME}"
        raise InvalidParameterValue(detected([problem(ref.name, "functionName", rule)]))


def not_found(call: Call, name: str, qualifier: str | None = None) -> ResourceNotFound:
    return ResourceNotFound(
        f"Function not found: {function_arn(call.caller.region, call.caller.account, name, qualifier)}"
    )


def function_only(ref: FunctionRef) -> None:
    """For operations on the function itself. Raises InvalidParameterValue for a version or an alias."""
    if ref.qualifier is not None:
        raise InvalidParameterValue(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )


async def find(call: Call, given: dict[str, Any]) -> tuple[FunctionRecord, FunctionRef]:
    """The version that a control call names, read from `state`; of a weighted alias the one that it points to.

    Raises ResourceNotFound and what function_ref raises.
    """
    ref = function_ref(call, given)
    found = await call.backends.functions.resolve(
        call.caller.account, call.caller.region, ref.name, ref.qualifier, _NO_DRAW
    )
    if found is None:
        raise not_found(call, ref.name, ref.qualifier)
    return await call.backends.settler.healed(found[1]), ref


async def find_function(call: Call, ref: FunctionRef) -> Function:
    """The function that a control call is about, read from `state`. Raises ResourceNotFound."""
    function = await call.backends.functions.function(call.caller.account, call.caller.region, ref.name)
    if function is None:
        raise not_found(call, ref.name)
    return function
