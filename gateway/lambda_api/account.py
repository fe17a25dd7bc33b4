"""GetAccountSettings, and the limit on what an account stores.

Source: Lambda API reference, GetAccountSettings.
"""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from hearth.errors import ApiError
from hearth.store.usage import usage


async def get_account_settings(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    backends, caller = call.backends, call.caller
    used = await usage(backends.stores.state, caller.account, caller.region)
    concurrency = await backends.concurrency.account(caller.account, caller.region)
    return {
        "AccountLimit": {
            "TotalCodeSize": backends.limits.code_storage_bytes,
            "CodeSizeUnzipped": backends.limits.unzipped_bytes,
            "CodeSizeZipped": backends.limits.zipped_bytes,
            "ConcurrentExecutions": backends.settings.account_concurrency,
            "UnreservedConcurrentExecutions": max(0, concurrency.unreserved),
        },
        "AccountUsage": {"TotalCodeSize": used.code_bytes, "FunctionCount": used.functions},
    }


async def check_storage(call: Call, added_bytes: int) -> None:
    """Raises CodeStorageExceededException if so many bytes more are too many."""
    caller, limits = call.caller, call.backends.limits
    used = await usage(call.backends.stores.state, caller.account, caller.region)
    if used.code_bytes + added_bytes > limits.code_storage_bytes:
        raise ApiError("CodeStorageExceededException", 400, "Code storage limit exceeded.")


OPERATIONS = {"GetAccountSettings": get_account_settings}
