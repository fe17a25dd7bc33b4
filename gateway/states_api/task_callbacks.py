"""What ends a task from outside: GetActivityTask, SendTaskSuccess, SendTaskFailure, SendTaskHeartbeat."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.call import Call
from gateway.states_api.activities import existing
from hearth.errors import ApiError
from hearth.json_problem import parser_text
from hearth.model.task_token import read_token

#: how long GetActivityTask waits for a task (Step Functions API reference)
WAIT_S = 60.0


async def get_activity_task(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Empty if none came in time."""
    activity = await existing(call, given["activityArn"])
    task = await call.backends.executions.take_activity_task(activity.arn, given.get("workerName", ""), WAIT_S)
    return {} if task is None else {"taskToken": task["token"], "input": task["input"]}


async def send_task_success(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    output: str = given["output"]
    try:
        orjson.loads(output)
    except orjson.JSONDecodeError as exc:
        why = parser_text(output.encode(), str(exc)).partition("\n")[0]
        raise ApiError("InvalidOutput", 400, f"Invalid Output: '{why}'") from exc
    return await _answer(call, given["taskToken"], "TaskSucceeded", output=output)


async def send_task_failure(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    members = {name: given[name] for name in ("error", "cause") if given.get(name) is not None}
    return await _answer(call, given["taskToken"], "TaskFailed", **members)


async def send_task_heartbeat(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _answer(call, given["taskToken"], "TaskHeartbeat")


async def _answer(call: Call, token: str, signal: str, **members: Any) -> dict[str, Any]:
    named = read_token(token)
    if named is None:
        raise ApiError("InvalidToken", 400, "Invalid Token: 'Invalid token'")
    if not await call.backends.executions.answer_task(*named, token, signal, **members):
        raise ApiError("TaskTimedOut", 400, "Task Timed Out: 'Provided task does not exist anymore'")
    return {}
