"""The Context object (`$$`, `$states.context`): its shape, in AWS's order of keys.

Source: Step Functions Developer Guide, "Accessing execution data from the Context object".
"""

from __future__ import annotations

from datetime import UTC, datetime

from hearth.asl.definition import MapItem
from hearth.asl.scope import Json


def instant(epoch_ms: int) -> str:
    """A time as the Context object writes it: ISO 8601, UTC, milliseconds."""
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec='milliseconds')[:23]}Z"


def execution(
    *, arn: str, name: str, input: Json, role_arn: str, started_at_ms: int, redrive_count: int, redriven_at_ms: int = 0
) -> dict[str, Json]:
    """The `Execution` member: the same for every state of an execution between two redrives."""
    member: dict[str, Json] = {
        "Id": arn,
        "Input": input,
        "StartTime": instant(started_at_ms),
        "Name": name,
        "RoleArn": role_arn,
        "RedriveCount": redrive_count,
    }
    if redriven_at_ms:
        member["RedriveTime"] = instant(redriven_at_ms)
    return member


def context_object(
    execution: dict[str, Json],
    *,
    machine_arn: str,
    machine_name: str,
    state: str,
    entered_at_ms: int,
    retry_count: int | None = None,
    task_token: str | None = None,
    item: MapItem | None = None,
) -> dict[str, Json]:
    """The whole object for one state.

    retry_count: of Task, Parallel and Map. task_token: while a token task's arguments are evaluated. item: inside a
    Map's iteration, and in its ItemSelector.
    """
    here: dict[str, Json] = {"Name": state, "EnteredTime": instant(entered_at_ms)}
    if retry_count is not None:
        here["RetryCount"] = retry_count
    context: dict[str, Json] = {
        "Execution": execution,
        "StateMachine": {"Id": machine_arn, "Name": machine_name},
        "State": here,
    }
    if task_token is not None:
        context["Task"] = {"Token": task_token}
    if item is not None:
        context["Map"] = {"Item": item.context()}
    return context
