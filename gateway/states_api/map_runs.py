"""Map runs: describe, list, update. What a run counts is the number of its child executions by status."""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from gateway.states_api import pages
from gateway.states_api.names import no_execution, no_resource, refuse, workflow_arn


async def describe_map_run(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = str(workflow_arn(given["mapRunArn"], "mapRun"))
    run = await _existing(call, arn)
    return {
        "mapRunArn": arn,
        "executionArn": run["execution"],
        "status": run["status"],
        "startDate": int(run["started"]) / 1000,
        "stopDate": int(run["stopped"]) / 1000 if "stopped" in run else None,
        "maxConcurrency": int(run["max_concurrency"]),
        "toleratedFailurePercentage": float(run["tolerated_failure_percentage"]),
        "toleratedFailureCount": int(run["tolerated_failure_count"]),
        "itemCounts": _counts(run, "items"),
        "executionCounts": _counts(run, "executions"),
        "redriveCount": int(run["redrives"]) if int(run.get("redrives", 0)) else None,
        "redriveDate": int(run["redriven"]) / 1000 if "redriven" in run else None,
    }


async def list_map_runs(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = str(workflow_arn(given["executionArn"], "execution"))
    if await call.backends.executions.get(arn) is None:
        raise no_execution(arn)
    runs = await call.backends.executions.map_runs(arn)
    found, token = pages.page(runs, given, arn)
    return {
        "mapRuns": [
            {
                "executionArn": arn,
                "mapRunArn": run_arn,
                "stateMachineArn": run["machine"],
                "startDate": int(run["started"]) / 1000,
                "stopDate": int(run["stopped"]) / 1000 if "stopped" in run else None,
            }
            for run_arn, run in found
        ],
        "nextToken": token,
    }


async def update_map_run(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = str(workflow_arn(given["mapRunArn"], "mapRun"))
    run = await _existing(call, arn)
    if run["status"] != "RUNNING":
        refuse("Map Run is already completed", reason="CANNOT_UPDATE_COMPLETED_MAP_RUN")
    names = {
        "maxConcurrency": "max_concurrency",
        "toleratedFailureCount": "tolerated_failure_count",
        "toleratedFailurePercentage": "tolerated_failure_percentage",
    }
    limits = {ours: given[theirs] for theirs, ours in names.items() if given.get(theirs) is not None}
    await call.backends.executions.tell(run["execution"], "MapRunUpdated", task_id=int(run["task"]), **limits)
    return {}


def _counts(run: dict[str, str], what: str) -> dict[str, int]:
    statuses = ("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten")
    return {status: int(run.get(f"{what}.{status}", 0)) for status in statuses}


async def _existing(call: Call, arn: str) -> dict[str, str]:
    run = await call.backends.executions.map_run(arn)
    if run is None:
        raise no_resource(arn)
    return run
