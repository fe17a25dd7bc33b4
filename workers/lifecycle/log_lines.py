"""The platform's lines in a function's log, as text and as JSON. Pure; every method returns a whole event or "".

Text: Lambda Developer Guide, "Viewing logs"; JSON: the telemetry events, at AWS's default SystemLogLevel INFO.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import orjson

from hearth.model.function import FunctionVersion

Phase = Literal["init", "invoke"]
_ON_DEMAND = "on-demand"


def runtime_arn(region: str, runtime_version: str) -> str:
    return f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(runtime_version.encode()).hexdigest()}"


def iso_time(t_ms: int) -> str:
    """YYYY-MM-DDTHH:MM:SS.mmmZ"""
    moment = datetime.fromtimestamp(t_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{t_ms % 1000:03d}Z"


class LogLines(Protocol):
    def init_start(self, runtime_version: str, isolation: str, t_ms: int) -> str: ...

    def init_report(self, phase: Phase, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        """Of an Init that failed; status `timeout` or `error`."""
        ...

    def start(self, request_id: str, t_ms: int) -> str: ...

    def timed_out(self, request_id: str, t_ms: int) -> str: ...

    def fatal(self, request_id: str, error_type: str, message: str, t_ms: int) -> str: ...

    def end(
        self,
        request_id: str,
        status: str,
        error_type: str,
        duration_ms: float,
        billed_ms: int,
        peak_mb: int,
        init_ms: float | None,
        t_ms: int,
    ) -> tuple[str, ...]:
        """END and REPORT. status: success, error (the handler's own), timeout or failure (error_type is fatal)."""
        ...


class TextLines:
    def __init__(self, version: FunctionVersion) -> None:
        self._version = version

    def init_start(self, runtime_version: str, isolation: str, t_ms: int) -> str:
        arn = runtime_arn(self._version.region, runtime_version)
        return f"INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {arn}\tIsolation: {isolation}\n"

    def init_report(self, phase: Phase, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        why = f"\tError Type: {error_type}" if status == "error" else ""
        return f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{why}\n"

    def start(self, request_id: str, t_ms: int) -> str:
        return f"START RequestId: {request_id} Version: {self._version.version}\n"

    def timed_out(self, request_id: str, t_ms: int) -> str:
        return f"{iso_time(t_ms)} {request_id} Task timed out after {self._version.timeout_s:.2f} seconds\n\n"

    def fatal(self, request_id: str, error_type: str, message: str, t_ms: int) -> str:
        return f"RequestId: {request_id} Error: {message}\n{error_type}\n"

    def end(
        self,
        request_id: str,
        status: str,
        error_type: str,
        duration_ms: float,
        billed_ms: int,
        peak_mb: int,
        init_ms: float | None,
        t_ms: int,
    ) -> tuple[str, ...]:
        more = ""
        if init_ms is not None:
            more = f"Init Duration: {init_ms:.2f} ms\t"
        if status == "timeout":
            more += "Status: timeout\t"
        elif status == "failure":
            more += f"Status: error\tError Type: {error_type}\t"
        return (
            f"END RequestId: {request_id}\n",
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms\tBilled Duration: {billed_ms} ms\t"
            f"Memory Size: {self._version.memory_mb} MB\tMax Memory Used: {peak_mb} MB\t{more}\n",
        )


class JsonLines:
    def __init__(self, version: FunctionVersion) -> None:
        self._version = version

    def init_start(self, runtime_version: str, isolation: str, t_ms: int) -> str:
        record = {
            "initializationType": _ON_DEMAND,
            "phase": "init",
            "runtimeVersion": runtime_version,
            "runtimeVersionArn": runtime_arn(self._version.region, runtime_version),
            "functionName": self._version.name,
            "functionVersion": self._version.version,
            "isolation": isolation,
        }
        return _event("platform.initStart", record, t_ms)

    def init_report(self, phase: Phase, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        record: dict[str, Any] = {"initializationType": _ON_DEMAND, "phase": phase, "status": status}
        if status == "error":
            record["errorType"] = error_type
        return _event("platform.initReport", record | {"metrics": {"durationMs": round(duration_ms, 3)}}, t_ms)

    def start(self, request_id: str, t_ms: int) -> str:
        return _event("platform.start", {"requestId": request_id, "version": self._version.version}, t_ms)

    def timed_out(self, request_id: str, t_ms: int) -> str:
        return f"{iso_time(t_ms)} {request_id} Task timed out after {self._version.timeout_s:.2f} seconds\n\n"

    def fatal(self, request_id: str, error_type: str, message: str, t_ms: int) -> str:
        return f"RequestId: {request_id} Error: {message}\n{error_type}\n"

    def end(
        self,
        request_id: str,
        status: str,
        error_type: str,
        duration_ms: float,
        billed_ms: int,
        peak_mb: int,
        init_ms: float | None,
        t_ms: int,
    ) -> tuple[str, ...]:
        outcome: dict[str, Any] = {"requestId": request_id, "status": status}
        if error_type and status in ("error", "failure"):
            outcome["errorType"] = error_type
        metrics: dict[str, Any] = {
            "durationMs": round(duration_ms, 3),
            "billedDurationMs": billed_ms,
            "memorySizeMB": self._version.memory_mb,
            "maxMemoryUsedMB": peak_mb,
        }
        if init_ms is not None:
            metrics["initDurationMs"] = round(init_ms, 3)
        report = _event("platform.report", outcome | {"metrics": metrics}, t_ms)
        if status == "success":
            return (report,)
        done = outcome | {"metrics": {"durationMs": round(duration_ms, 3)}}
        return (_event("platform.runtimeDone", done, t_ms), report)


def log_lines(version: FunctionVersion) -> LogLines:
    return JsonLines(version) if version.log_format == "JSON" else TextLines(version)


def _event(kind: str, record: dict[str, Any], t_ms: int) -> str:
    return orjson.dumps({"time": iso_time(t_ms), "type": kind, "record": record}).decode() + "\n"
