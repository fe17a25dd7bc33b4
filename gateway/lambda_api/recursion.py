"""PutFunctionRecursionConfig, GetFunctionRecursionConfig. What it means is in `hearth.lineage`.

Source: Lambda API reference.
"""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from gateway.lambda_api.names import find_function, function_ref
from hearth.errors import ServiceError
from hearth.lineage import stops
from hearth.store.functions import Beside, Put

_TRIES = 20


async def put_function_recursion_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref, wanted = function_ref(call, given), given["RecursiveLoop"]
    for _ in range(_TRIES):
        function = await find_function(call, ref)
        put = await call.backends.functions.put_beside(function, Beside.RECURSION, "", wanted.encode())
        if put is Put.DONE:
            await call.backends.settler.spread(function.latest.version)
            return {"RecursiveLoop": wanted}
    raise ServiceError("The configuration changes too often just now; try again.")


async def get_function_recursion_config(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    function = await find_function(call, function_ref(call, given))
    return {"RecursiveLoop": "Terminate" if stops(function.beside_of(Beside.RECURSION)) else "Allow"}


OPERATIONS = {
    "GetFunctionRecursionConfig": get_function_recursion_config,
    "PutFunctionRecursionConfig": put_function_recursion_config,
}
