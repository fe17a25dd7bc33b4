"""STS: GetCallerIdentity."""

from __future__ import annotations

from typing import Any

from gateway.call import Call


async def get_caller_identity(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return {"UserId": call.caller.user_id, "Account": call.caller.account, "Arn": call.caller.arn}
