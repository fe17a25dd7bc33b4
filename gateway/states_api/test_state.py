"""TestState: one state, run by an orchestrator that keeps nothing of it."""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from hearth.clock import Deadline

#: a tested state may take five minutes (Step Functions Developer Guide, TestState), and its way there and back
LONGEST_S = 310.0


async def test_state(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    caller = call.caller
    body = given | {"account": caller.account, "region": caller.region}
    return await call.backends.workflows.call("TestState", body, deadline=Deadline.after(LONGEST_S))
