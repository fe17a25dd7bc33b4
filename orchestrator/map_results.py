"""What a ResultWriter writes of a map run's children: files of results by status, and their manifest. Pure.

Source: Step Functions Developer Guide, "ResultWriter (Map)".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from hearth.clock import iso_time
from hearth.model.execution import Status
from hearth.store.executions import Stored

_FILES = {Status.SUCCEEDED: "SUCCEEDED", Status.FAILED: "FAILED", Status.TIMED_OUT: "FAILED", Status.ABORTED: "PENDING"}


def result_files(children: Iterable[Stored], config: Mapping[str, Any]) -> dict[str, bytes]:
    """SUCCEEDED, FAILED, PENDING (those that have any) -> content. config: WriterConfig."""
    entries: dict[str, list[Any]] = {}
    transformation = config.get("Transformation", "NONE")
    for child in children:
        kind = _FILES.get(child.outcome.status, "PENDING")
        entry = described(child)
        if kind != "SUCCEEDED" or transformation == "NONE":
            entries.setdefault(kind, []).append(entry)
            continue
        output = orjson.loads(child.outcome.output or "null")
        if transformation == "FLATTEN" and isinstance(output, list):
            entries.setdefault(kind, []).extend(output)
        else:
            entries.setdefault(kind, []).append(output)
    lines = config.get("OutputType") == "JSONL"
    return {kind: _written(found, lines=lines) for kind, found in entries.items()}


def manifest(bucket: str, map_run_arn: str, files: Mapping[str, tuple[str, int]]) -> bytes:
    """files: SUCCEEDED, FAILED, PENDING -> (key, bytes)."""
    results = {
        kind: [{"Key": files[kind][0], "Size": files[kind][1]}] if kind in files else []
        for kind in ("FAILED", "PENDING", "SUCCEEDED")
    }
    return orjson.dumps({"DestinationBucket": bucket, "MapRunArn": map_run_arn, "ResultFiles": results})


def described(child: Stored) -> dict[str, Any]:
    """A child execution as a result file shows it."""
    execution, outcome = child.execution, child.outcome
    shown = {
        "Cause": outcome.cause,
        "Error": outcome.error,
        "ExecutionArn": execution.arn,
        "Input": execution.input,
        "InputDetails": {"Included": True},
        "Name": execution.name,
        "Output": outcome.output,
        "OutputDetails": {"Included": True} if outcome.output is not None else None,
        "RedriveCount": outcome.redrives,
        "RedriveStatus": "NOT_REDRIVABLE" if outcome.status is Status.SUCCEEDED else "REDRIVABLE_BY_MAP_RUN",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven"
        if outcome.status is Status.SUCCEEDED
        else None,
        "StartDate": iso_time(execution.started_at_ms),
        "StateMachineArn": execution.machine_arn,
        "Status": str(outcome.status),
        "StopDate": iso_time(outcome.stopped_at_ms),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _written(entries: list[Any], *, lines: bool) -> bytes:
    if lines:
        return b"".join(orjson.dumps(entry) + b"\n" for entry in entries)
    return orjson.dumps(entries)
