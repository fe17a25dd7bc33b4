"""Shutdown: the end of a sandbox. With no extension registered AWS gives the runtime no time: SIGKILL at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from workers.lifecycle.endings import SHUT_DOWN
from workers.sandbox.state import SandboxState

if TYPE_CHECKING:
    from workers.sandbox.sandbox import Sandbox

#: spindown: an ordinary end; timeout: of an invocation; failure: everything else. AWS's shutdownReason
ShutdownReason = Literal["spindown", "timeout", "failure"]


async def run_shutdown(sandbox: Sandbox, reason: ShutdownReason) -> None:
    """STOPPED afterwards, whatever was going on; an invocation or Init that waits is told."""
    if sandbox.state is SandboxState.STOPPED:
        return
    sandbox.advance(SandboxState.SHUTTING_DOWN)
    try:
        if sandbox.api is not None:
            sandbox.api.end(SHUT_DOWN)
        # A sandbox that is being built can't be killed before it stands; the ending above makes that short.
        await sandbox.start_ended.wait()
        await kill(sandbox)
    finally:
        sandbox.watchdog.close()
        sandbox.last_used_s = time.monotonic()
        sandbox.advance(SandboxState.STOPPED)


async def kill(sandbox: Sandbox) -> None:
    """End the processes and the Runtime API; what they had printed is in the log. The sandbox may be started again."""
    process, api = sandbox.process, sandbox.api
    sandbox.read_peak_mb()  # gone with the processes, but REPORT comes after them
    sandbox.process = sandbox.api = None
    sandbox.watchdog.clear()
    try:
        if api is not None:
            api.end(SHUT_DOWN)
            api.close()
        sandbox.log.detach()
    finally:
        if process is not None:
            await process.stop()
