"""The records of the platform's telemetry events, as dicts. Pure.

Source: Lambda Developer Guide, "Lambda Telemetry API Event schema reference".
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal, NamedTuple

from hearth.clock import iso_time
from hearth.model.function import FunctionVersion

Phase = Literal["init", "invoke"]
Record = dict[str, Any]
#: why a sandbox is initialised: for a request, ahead of them, or for a snapshot
Initialization = Literal["on-demand", "provisioned-concurrency", "snap-start"]
SNAP_START: Initialization = "snap-start"


class Times(NamedTuple):
    """Of an invocation that was answered, in seconds of a clock whose zero is `epoch_ms`: the runtime took the event,
    began its answer, had given it, asked for the next event; the last extension had, too. None: not so, or not yet."""

    epoch_ms: float
    began_s: float
    answering_s: float
    answered_s: float
    next_s: float | None = None
    settled_s: float | None = None

    def span(self, name: str, from_s: float, to_s: float) -> Record:
        start = iso_time(int(self.epoch_ms + from_s * 1000))
        return {"name": name, "start": start, "durationMs": round((to_s - from_s) * 1000, 3)}


class Ended(NamedTuple):
    """An invocation's end, for REPORT. status: success, error (the handler's own), timeout or failure (error_type is
    fatal). init_ms, restore_ms: of the Init and the restoring before it, until told. times: None without
    an answer."""

    status: str
    error_type: str
    duration_ms: float
    billed_ms: int
    peak_mb: int
    init_ms: float | None
    restore_ms: float | None = None
    produced_bytes: int | None = None
    times: Times | None = None


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
    request_id: str,
    status: str,
    error_type: str,
    duration_ms: float,
    produced_bytes: int | None = None,
    times: Times | None = None,
) -> Record:
    metrics: Record = {"durationMs": round(duration_ms, 3)}
    if produced_bytes is not None:
        metrics["producedBytes"] = produced_bytes
    record = _outcome(request_id, status, error_type) | {"metrics": metrics}
    if times is None:
        return record
    spans = [
        times.span("responseLatency", times.began_s, times.answering_s),
        times.span("responseDuration", times.answering_s, times.answered_s),
    ]
    if times.next_s is not None:
        spans.append(times.span("runtimeOverhead", times.answered_s, times.next_s))
    return record | {"spans": spans}


def report(version: FunctionVersion, request_id: str, ended: Ended) -> Record:
    metrics: Record = {
        "durationMs": round(ended.duration_ms, 3),
        "billedDurationMs": ended.billed_ms,
        "memorySizeMB": version.memory_mb,
        "maxMemoryUsedMB": ended.peak_mb,
    }
    if ended.init_ms is not None:
        metrics["initDurationMs"] = round(ended.init_ms, 3)
    if ended.restore_ms is not None:
        metrics["restoreDurationMs"] = round(ended.restore_ms, 3)
        metrics["billedRestoreDurationMs"] = math.ceil(ended.restore_ms)
    record, times = _outcome(request_id, ended.status, ended.error_type) | {"metrics": metrics}, ended.times
    if times is None or times.next_s is None or times.settled_s is None:
        return record
    return record | {"spans": [times.span("extensionOverhead", times.next_s, times.settled_s)]}


def _outcome(request_id: str, status: str, error_type: str) -> Record:
    record: Record = {"requestId": request_id, "status": status}
    return record | ({"errorType": error_type} if error_type and status in ("error", "failure") else {})
