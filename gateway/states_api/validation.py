"""ValidateStateMachineDefinition."""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from gateway.states_api.definitions import diagnostics

MAX_RESULTS = 100


async def validate_state_machine_definition(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    found = diagnostics(given["definition"], given.get("type", "STANDARD"))
    if given.get("severity", "ERROR") == "ERROR":
        found = [one for one in found if one.severity == "ERROR"]
    limit = given.get("maxResults") or MAX_RESULTS
    return {
        "result": "FAIL" if any(one.severity == "ERROR" for one in found) else "OK",
        "diagnostics": [
            {
                "severity": one.severity,
                "code": one.code,
                "message": one.message,
                "location": one.location or None,
            }
            for one in found[:limit]
        ],
        "truncated": len(found) > limit,
    }
