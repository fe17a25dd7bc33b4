"""The platform's lines in a function's log, as text and as JSON. Pure; every method returns a whole event or "".

Text: Lambda Developer Guide, "Viewing logs"; JSON: the telemetry events, each with a level that the function's
SystemLogLevel lets through or not.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import orjson

from hearth.clock import iso_time
from hearth.model.function import FunctionVersion
from workers.lifecycle import records
from workers.lifecycle.records import Ended, Initialization, Phase, runtime_arn

__all__ = ["JsonLines", "LogLines", "Phase", "TextLines", "iso_time", "log_lines"]

_LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "ERROR": 4, "FATAL": 5}


class LogLines(Protocol):
    def init_start(self, runtime_version: str, isolation: str, t_ms: int) -> str: ...

    def init_runtime_done(self, phase: Phase, status: str, error_type: str, t_ms: int) -> str:
        """In JSON only."""
        ...

    def init_report(self, phase: Phase, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        """status: `success` (told of provisioned sandboxes, of others in JSON at level DEBUG only), `timeout` or
        `error`."""
        ...

    def snapshot_report(self, phase: Phase, duration_ms: float, t_ms: int) -> str:
        """Init is over with the before-snapshot hooks; restoring follows."""
        ...

    def restore_start(self, runtime_version: str, t_ms: int) -> str: ...

    def restore_report(self, status: str, error_type: str, duration_ms: float, t_ms: int) -> str: ...

    def extension(self, name: str, state: str, events: list[str], error_type: str, t_ms: int) -> str: ...

    def subscription(self, api: str, name: str, types: list[str], t_ms: int) -> str:
        """api: `telemetry` or `logs`."""
        ...

    def start(self, request_id: str, t_ms: int) -> str: ...

    def timed_out(self, request_id: str, t_ms: int) -> str: ...

    def fatal(self, request_id: str, error_type: str, message: str, t_ms: int) -> str: ...

    def end(self, request_id: str, ended: Ended, t_ms: int) -> tuple[str, ...]:
        """END and REPORT."""
        ...


class TextLines:
    def __init__(self, version: FunctionVersion, initialization: Initialization = "on-demand") -> None:
        self._version, self._initialization = version, initialization

    def init_start(self, runtime_version: str, isolation: str, t_ms: int) -> str:
        return f"INIT_START {self._runtime(runtime_version)}\tIsolation: {isolation}\n"

    def init_runtime_done(self, phase: Phase, status: str, error_type: str, t_ms: int) -> str:
        return ""

    def init_report(self, phase: Phase, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        if status == "success":
            on_demand = self._initialization == "on-demand"
            return "" if on_demand else f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\n"
        why = f"\tError Type: {error_type}" if status == "error" else ""
        return f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{why}\n"

    def snapshot_report(self, phase: Phase, duration_ms: float, t_ms: int) -> str:
        return f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\n"

    def restore_start(self, runtime_version: str, t_ms: int) -> str:
        return f"RESTORE_START {self._runtime(runtime_version)}\n"

    def restore_report(self, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        why = "" if status == "success" else f"\tStatus: {status}"
        why += f"\tError Type: {error_type}" if status == "error" else ""
        return f"RESTORE_REPORT Restore Duration: {duration_ms:.2f} ms{why}\n"

    def extension(self, name: str, state: str, events: list[str], error_type: str, t_ms: int) -> str:
        why = f"\tError Type: {error_type}" if error_type else ""
        return f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]{why}\n"

    def subscription(self, api: str, name: str, types: list[str], t_ms: int) -> str:
        shown = ", ".join(one.capitalize() for one in types)
        return f"{api.upper()}\tName: {name}\tState: Subscribed\tTypes: [{shown}]\n"

    def start(self, request_id: str, t_ms: int) -> str:
        return f"START RequestId: {request_id} Version: {self._version.version}\n"

    def timed_out(self, request_id: str, t_ms: int) -> str:
        return f"{iso_time(t_ms)} {request_id} Task timed out after {self._version.timeout_s:.2f} seconds\n\n"

    def fatal(self, request_id: str, error_type: str, message: str, t_ms: int) -> str:
        return f"RequestId: {request_id} Error: {message}\n{error_type}\n"

    def end(self, request_id: str, ended: Ended, t_ms: int) -> tuple[str, ...]:
        more = ""
        if ended.restore_ms is not None:
            billed_ms = math.ceil(ended.restore_ms)
            more = f"Restore Duration: {ended.restore_ms:.2f} ms\tBilled Restore Duration: {billed_ms} ms\t"
        elif ended.init_ms is not None:
            more = f"Init Duration: {ended.init_ms:.2f} ms\t"
        if ended.status == "timeout":
            more += "Status: timeout\t"
        elif ended.status == "failure":
            more += f"Status: error\tError Type: {ended.error_type}\t"
        return (
            f"END RequestId: {request_id}\n",
            f"REPORT RequestId: {request_id}\tDuration: {ended.duration_ms:.2f} ms\t"
            f"Billed Duration: {ended.billed_ms} ms\tMemory Size: {self._version.memory_mb} MB\t"
            f"Max Memory Used: {ended.peak_mb} MB\t{more}\n",
        )

    def _runtime(self, runtime_version: str) -> str:
        arn = runtime_arn(self._version.region, runtime_version)
        return f"Runtime Version: {runtime_version}\tRuntime Version ARN: {arn}"


class JsonLines:
    def __init__(self, version: FunctionVersion, initialization: Initialization = "on-demand") -> None:
        self._version, self._initialization = version, initialization
        self._least = _LEVELS.get(version.system_log_level, _LEVELS["INFO"])

    def init_start(self, runtime_version: str, isolation: str, t_ms: int) -> str:
        record = records.init_start(self._version, runtime_version, isolation, initialization=self._initialization)
        return self._line("INFO", "platform.initStart", record, t_ms)

    def init_runtime_done(self, phase: Phase, status: str, error_type: str, t_ms: int) -> str:
        record = records.init_runtime_done(phase, status, error_type, self._initialization)
        return self._line("DEBUG" if status == "success" else "WARN", "platform.initRuntimeDone", record, t_ms)

    def init_report(self, phase: Phase, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        level = "WARN" if status != "success" else "DEBUG" if self._initialization == "on-demand" else "INFO"
        record = records.init_report(phase, status, error_type, duration_ms, self._initialization)
        return self._line(level, "platform.initReport", record, t_ms)

    def snapshot_report(self, phase: Phase, duration_ms: float, t_ms: int) -> str:
        record = records.init_report(phase, "success", "", duration_ms, records.SNAP_START)
        return self._line("INFO", "platform.initReport", record, t_ms)

    def restore_start(self, runtime_version: str, t_ms: int) -> str:
        return self._line("INFO", "platform.restoreStart", records.restore_start(self._version, runtime_version), t_ms)

    def restore_report(self, status: str, error_type: str, duration_ms: float, t_ms: int) -> str:
        record = records.restore_report(status, error_type, duration_ms)
        return self._line("INFO" if status == "success" else "WARN", "platform.restoreReport", record, t_ms)

    def extension(self, name: str, state: str, events: list[str], error_type: str, t_ms: int) -> str:
        record = records.extension(name, state, events, error_type)
        return self._line("WARN" if error_type else "INFO", "platform.extension", record, t_ms)

    def subscription(self, api: str, name: str, types: list[str], t_ms: int) -> str:
        record = {"name": name, "state": "Subscribed", "types": types}
        return self._line("INFO", f"platform.{api}Subscription", record, t_ms)

    def start(self, request_id: str, t_ms: int) -> str:
        return self._line("INFO", "platform.start", records.start(request_id, self._version.version), t_ms)

    def timed_out(self, request_id: str, t_ms: int) -> str:
        return f"{iso_time(t_ms)} {request_id} Task timed out after {self._version.timeout_s:.2f} seconds\n\n"

    def fatal(self, request_id: str, error_type: str, message: str, t_ms: int) -> str:
        return f"RequestId: {request_id} Error: {message}\n{error_type}\n"

    def end(self, request_id: str, ended: Ended, t_ms: int) -> tuple[str, ...]:
        good = ended.status == "success"
        done = ""
        if not good or self._least <= _LEVELS["DEBUG"]:
            record = records.runtime_done(
                request_id, ended.status, ended.error_type, ended.duration_ms, ended.produced_bytes, ended.times
            )
            done = self._line("DEBUG" if good else "WARN", "platform.runtimeDone", record, t_ms)
        report = records.report(self._version, request_id, ended)
        line = self._line("INFO" if good else "WARN", "platform.report", report, t_ms)
        return tuple(one for one in (done, line) if one)

    def _line(self, level: str, kind: str, record: dict[str, Any], t_ms: int) -> str:
        if _LEVELS[level] < self._least:
            return ""
        return orjson.dumps({"time": iso_time(t_ms), "type": kind, "record": record}).decode() + "\n"


def log_lines(version: FunctionVersion, initialization: Initialization = "on-demand") -> LogLines:
    return (JsonLines if version.log_format == "JSON" else TextLines)(version, initialization)
