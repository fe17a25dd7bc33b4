"""FunctionName and Qualifier of a call, checked in AWS's order and words."""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from gateway.protocols.validate import detected, problem
from hearth.arn import LATEST, FunctionRef, function_arn, parse_function_name
from hearth.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from hearth.store.functions import FunctionRecord

MAX_NAME = 64


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
    if len(ref.name) > MAX_NAME:
        rule = f"Member must have length less than or equal to {MAX_NAME}"
        raise InvalidParameterValue(detected([problem(ref.name, "functionName", rule)]))
    qualifier = given.get("Qualifier")
    if qualifier is not None and ref.qualifier is not None and qualifier != ref.qualifier:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return FunctionRef(ref.name, ref.qualifier or qualifier)


def not_found(call: Call, name: str, qualifier: str | None = None) -> ResourceNotFound:
    return ResourceNotFound(
        f"Function not found: {function_arn(call.caller.region, call.caller.account, name, qualifier)}"
    )


async def find(call: Call, given: dict[str, Any]) -> tuple[FunctionRecord, FunctionRef]:
    """The function that a control call names, read from `state`. Raises ResourceNotFound and those of function_ref."""
    ref = function_ref(call, given)
    record = await call.backends.functions.get(call.caller.account, call.caller.region, ref.name)
    # `$LATEST` is the only version there is.
    if record is None or ref.qualifier not in (None, LATEST):
        raise not_found(call, ref.name, ref.qualifier)
    return await call.backends.settler.healed(record), ref
