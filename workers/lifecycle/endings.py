"""How a runtime that can't answer is told: error types, messages and documents, as AWS words them. Pure."""

from __future__ import annotations

import signal

import orjson

from workers.sandbox.runtime_api import Ending, InitError
from workers.sandbox.supervisor import Exit

#: Go's names, which AWS's sandbox prints
_SIGNALS: dict[int, str] = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGUSR2: "user defined signal 2",
    signal.SIGPIPE: "broken pipe",
    signal.SIGALRM: "alarm clock",
    signal.SIGTERM: "terminated",
}

#: of an Init; whoever gave it its limit words the message
INIT_TIMED_OUT = Ending("Sandbox.Timedout", "", timed_out=True)
#: of the hooks after a restore; it is repeated as a failed Init is
RESTORE_TIMED_OUT = Ending("Runtime.RestoreHookUserTimeout", "Restore hooks timed out")
#: the worker itself ended the sandbox
SHUT_DOWN = Ending("Sandbox.Failure", "The sandbox was shut down while the function ran.")


def after_exit(exit: Exit) -> Ending:
    if exit.oom:
        return Ending("Runtime.OutOfMemory", "Runtime exited with error: signal: killed")
    if exit.signal is not None:
        name = _SIGNALS.get(exit.signal, f"signal {exit.signal}")
        return Ending("Runtime.ExitError", f"Runtime exited with error: signal: {name}")
    if exit.status:
        return Ending("Runtime.ExitError", f"Runtime exited with error: exit status {exit.status}")
    return Ending("Runtime.ExitError", "Runtime exited without providing a reason")


def after_extension_exit(exit: Exit) -> Ending:
    """An external extension's process has ended while it was needed."""
    if exit.signal is not None:
        return Ending("Extension.Crash", f"signal: {_SIGNALS.get(exit.signal, exit.signal)}")
    return Ending("Extension.Crash", f"exit status {exit.status}" if exit.status else "exit code 0")


def after_timeout(timeout_s: float) -> Ending:
    return Ending("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds", timed_out=True)


def document(request_id: str, ending: Ending) -> bytes:
    """What the caller gets."""
    text = f"RequestId: {request_id} Error: {ending.message}"
    return orjson.dumps({"errorType": ending.error_type, "errorMessage": text})


def init_error_message(error: InitError) -> str:
    """For the log: what the runtime said, if it said it in a way that AWS knows."""
    try:
        said = orjson.loads(error.body).get("errorMessage")
    except (orjson.JSONDecodeError, AttributeError):
        said = None
    known = error.error_type != "Runtime.Unknown" and isinstance(said, str)
    return said if known else "Unknown application error occurred"
