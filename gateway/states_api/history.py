"""GetExecutionHistory."""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from gateway.states_api import pages
from gateway.states_api.names import no_execution, workflow_arn


async def get_execution_history(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Pages are cut by position among the stored records; those that AWS does not show are left out."""
    arn = str(workflow_arn(given["executionArn"], "execution"))
    histories = call.backends.histories
    if await call.backends.executions.get(arn) is None:
        raise no_execution(arn)
    reverse = given.get("reverseOrder", False)
    start, size = pages.start_of(given, arn, reverse), pages.size_of(given)
    length = await histories.length(arn)
    shown: list[dict[str, Any]] = []
    include = given.get("includeExecutionData", True)
    while len(shown) < size and start < length:
        end = min(length, start + size - len(shown))
        records = await histories.records(arn, *((length - end, length - start) if reverse else (start, end)))
        shown += [
            event.to_api(include_data=include) for event in (reversed(records) if reverse else records) if event.id
        ]
        start = end
    return {"events": shown, "nextToken": pages.token_of(start, arn, reverse) if start < length else None}
