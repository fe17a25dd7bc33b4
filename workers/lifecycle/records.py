"""The records of the platform's telemetry events, as dicts. Pure.

Source: Lambda Developer Guide, "Lambda Telemetry API Event schema reference".
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal

from hearth.model.function import FunctionVersion

Phase = Literal["init", "invoke"]
Record = dict[str, Any]
#: why a sandbox is initialised: for a request, ahead of them, or for a snapshot
Initialization = Literal["on-demand", "provisioned-concurrency", "snap-start"]
SNAP_START: Initialization = "snap-start"


def runtime_arn(region: str, runtime_version: str) -> str:
    return f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(runtime_version.encode()).hexdigest()}"


def init_start(
    version: FunctionVersion,
    runtime_version: str,
    isolation: str,
    phase: Phase = "init",
    initialization: Initialization = "on-demand",
) -> Record:
    return {
        "initializationType": initialization,
        "phase": phase,
        "runtimeVersion": runtime_version,
        "runtimeVersionArn": runtime_arn(version.region, runtime_version),
        "functionName": version.name,
        "functionVersion": version.version,
        "isolation": isolation,
    }


def init_runtime_done(
    phase: Phase, status: str, error_type: str, initialization: Initialization = "on-demand"
) -> Record:
    record = {"initializationType": initialization, "phase": phase, "status": status}
    return record | ({"errorType": error_type} if status == "error" else {})


def init_report(
    phase: Phase, status: str, error_type: str, duration_ms: float, initialization: Initialization = "on-demand"
) -> Record:
    done = init_runtime_done(phase, status, error_type, initialization)
    return done | {"metrics": {"durationMs": round(duration_ms, 3)}}


def restore_start(version: FunctionVersion, runtime_version: str) -> Record:
    return {
        "runtimeVersion": runtime_version,
        "runtimeVersionArn": runtime_arn(version.region, runtime_version),
        "functionName": version.name,
        "functionVersion": version.version,
    }


def restore_runtime_done(status: str, error_type: str) -> Record:
    return {"status": status} | ({"errorType": error_type} if status == "error" else {})


def restore_report(status: str, error_type: str, duration_ms: float) -> Record:
    return restore_runtime_done(status, error_type) | {"metrics": {"durationMs": round(duration_ms, 3)}}


def extension(name: str, state: str, events: list[str], error_type: str) -> Record:
    record: Record = {"name": name, "state": state, "events": events}
    return record | ({"errorType": error_type} if error_type else {})


def start(request_id: str, version: str, trace_id: str = "") -> Record:
    record: Record = {"requestId": request_id, "version": version}
    return record | ({"tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id}} if trace_id else {})


def runtime_done(
    request_id: str, status: str, error_type: str, duration_ms: float, produced_bytes: int | None = None
) -> Record:
    metrics: Record = {"durationMs": round(duration_ms, 3)}
    if produced_bytes is not None:
        metrics["producedBytes"] = produced_bytes
    return _outcome(request_id, status, error_type) | {"metrics": metrics}


def report(
    version: FunctionVersion,
    request_id: str,
    status: str,
    error_type: str,
    duration_ms: float,
    billed_ms: int,
    peak_mb: int,
    init_ms: float | None,
    restore_ms: float | None = None,
) -> Record:
    metrics: Record = {
        "durationMs": round(duration_ms, 3),
        "billedDurationMs": billed_ms,
        "memorySizeMB": version.memory_mb,
        "maxMemoryUsedMB": peak_mb,
    }
    if init_ms is not None:
        metrics["initDurationMs"] = round(init_ms, 3)
    if restore_ms is not None:
        metrics["restoreDurationMs"] = round(restore_ms, 3)
        metrics["billedRestoreDurationMs"] = math.ceil(restore_ms)
    return _outcome(request_id, status, error_type) | {"metrics": metrics}


def _outcome(request_id: str, status: str, error_type: str) -> Record:
    record: Record = {"requestId": request_id, "status": status}
    return record | ({"errorType": error_type} if error_type and status in ("error", "failure") else {})
