"""What the platform says of a sandbox's life, said to everyone who listens: its log, and its telemetry's subscribers.

Where nobody subscribed, the events are not made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hearth.model.invocation import Invocation
from hearth.model.runtime import substitution
from workers.lifecycle import records
from workers.lifecycle.records import Ended, Phase

if TYPE_CHECKING:
    from workers.sandbox.sandbox import Sandbox


def _emit(sandbox: Sandbox, kind: str, record: Callable[[], records.Record], t_ms: int) -> None:
    if sandbox.telemetry is not None and sandbox.telemetry.enabled:
        sandbox.telemetry.platform(f"platform.{kind}", record(), t_ms)


def init_start(sandbox: Sandbox, phase: Phase) -> None:
    """INIT_START, in the log once in a sandbox's life: a repeated Init prints only its INIT_REPORT."""
    t_ms, runtime, level = sandbox.services.now_ms(), sandbox.runtime.version, str(sandbox.supervisor.level)
    if not sandbox.init_announced:
        sandbox.init_announced = True
        sandbox.log.platform(sandbox.lines.init_start(runtime, level, t_ms))
        if sandbox.runtime.stands_for:
            text = substitution(sandbox.runtime.stands_for, sandbox.runtime.family)
            sandbox.log.platform(f"WARNING {text}\n")
    _emit(
        sandbox,
        "initStart",
        lambda: records.init_start(sandbox.version, runtime, level, phase, sandbox.initialization),
        t_ms,
    )


def init_end(sandbox: Sandbox, phase: Phase, status: str, error_type: str, took_ms: float) -> None:
    t_ms, kind = sandbox.services.now_ms(), sandbox.initialization
    sandbox.log.platform(sandbox.lines.init_runtime_done(phase, status, error_type, t_ms))
    _emit(sandbox, "initRuntimeDone", lambda: records.init_runtime_done(phase, status, error_type, kind), t_ms)
    extensions(sandbox, t_ms)
    sandbox.log.platform(sandbox.lines.init_report(phase, status, error_type, took_ms, t_ms))
    _emit(sandbox, "initReport", lambda: records.init_report(phase, status, error_type, took_ms, kind), t_ms)


def extensions(sandbox: Sandbox, t_ms: int) -> None:
    """One line for each subscription and each extension that there is when Init ends."""
    if sandbox.api is None or not sandbox.api.extensions.all or sandbox.telemetry is None:
        return
    for name, one in sandbox.telemetry.subscriptions.items():
        api = "logs" if one.legacy else "telemetry"
        sandbox.log.platform(sandbox.lines.subscription(api, name, sorted(one.categories), t_ms))
    for extension in sandbox.api.extensions.all.values():
        told = extension.name, str(extension.state), sorted(extension.events), extension.error_type
        sandbox.log.platform(sandbox.lines.extension(*told, t_ms))
        sandbox.telemetry.platform("platform.extension", records.extension(*told), t_ms)


def restore_start(sandbox: Sandbox, phase: Phase, init_ms: float) -> None:
    """The end of Init, which took so long, and the beginning of restoring."""
    t_ms, runtime, kind = sandbox.services.now_ms(), sandbox.runtime.version, records.SNAP_START
    sandbox.log.platform(sandbox.lines.init_runtime_done(phase, "success", "", t_ms))
    _emit(sandbox, "initRuntimeDone", lambda: records.init_runtime_done(phase, "success", "", kind), t_ms)
    sandbox.log.platform(sandbox.lines.snapshot_report(phase, init_ms, t_ms))
    _emit(sandbox, "initReport", lambda: records.init_report(phase, "success", "", init_ms, kind), t_ms)
    sandbox.log.platform(sandbox.lines.restore_start(runtime, t_ms))
    _emit(sandbox, "restoreStart", lambda: records.restore_start(sandbox.version, runtime), t_ms)


def restore_end(sandbox: Sandbox, status: str, error_type: str, took_ms: float) -> None:
    t_ms = sandbox.services.now_ms()
    _emit(sandbox, "restoreRuntimeDone", lambda: records.restore_runtime_done(status, error_type), t_ms)
    sandbox.log.platform(sandbox.lines.restore_report(status, error_type, took_ms, t_ms))
    _emit(sandbox, "restoreReport", lambda: records.restore_report(status, error_type, took_ms), t_ms)


def start(sandbox: Sandbox, invocation: Invocation, t_ms: int) -> None:
    sandbox.log.platform(sandbox.lines.start(invocation.request_id, t_ms))
    if sandbox.telemetry is not None and sandbox.telemetry.enabled:
        record = records.start(invocation.request_id, sandbox.version.version, invocation.trace_id)
        sandbox.telemetry.platform("platform.start", record, t_ms)


def runtime_done(
    sandbox: Sandbox,
    request_id: str,
    status: str,
    error_type: str,
    duration_ms: float,
    produced_bytes: int | None,
    times: records.Times | None,
) -> None:
    """The runtime's part of an invocation is over; for subscribers only."""
    t_ms = sandbox.services.now_ms()
    _emit(
        sandbox,
        "runtimeDone",
        lambda: records.runtime_done(request_id, status, error_type, duration_ms, produced_bytes, times),
        t_ms,
    )


def end(sandbox: Sandbox, request_id: str, ended: Ended, t_ms: int) -> None:
    """END and REPORT."""
    for line in sandbox.lines.end(request_id, ended, t_ms):
        sandbox.log.platform(line)
    if sandbox.telemetry is not None and sandbox.telemetry.enabled:
        sandbox.telemetry.platform("platform.end", {"requestId": request_id}, t_ms)
        record = records.report(sandbox.version, request_id, ended)
        sandbox.telemetry.platform("platform.report", record, t_ms)
