"""Shutdown: the end of a sandbox.

With no extension registered there is no time: SIGKILL at once. With internal ones only, the runtime gets SIGTERM and
500 ms. With external ones the runtime gets SIGTERM and its share, then they get SHUTDOWN; 2 s in all. At the end
everything is killed.
Source: Lambda Developer Guide, execution environment lifecycle, Shutdown phase.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Literal

from hearth.clock import Deadline
from workers.lifecycle.endings import SHUT_DOWN
from workers.sandbox import init_process
from workers.sandbox.extensions.registry import SHUTDOWN
from workers.sandbox.state import SandboxState
from workers.sandbox.supervisor import Exit

if TYPE_CHECKING:
    from workers.sandbox.sandbox import Sandbox

#: spindown: an ordinary end; timeout: of an invocation; failure: everything else. AWS's shutdownReason
ShutdownReason = Literal["spindown", "timeout", "failure"]

WINDOW_S = 2.0
INTERNAL_WINDOW_S = 0.5
#: the runtime's share of WINDOW_S
_RUNTIME_S = 0.3


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
        await say_goodbye(sandbox, reason)
        await kill(sandbox)
    finally:
        sandbox.watchdog.close()
        sandbox.frost.close()
        sandbox.last_used_s = time.monotonic()
        sandbox.advance(SandboxState.STOPPED)


async def say_goodbye(sandbox: Sandbox, reason: ShutdownReason) -> None:
    """The time that runtime and extensions get to end by themselves. No effect where there is none or it has passed."""
    api, process = sandbox.api, sandbox.process
    if api is None or process is None or process.exited.done() or not api.extensions.active or sandbox.said_goodbye:
        return
    sandbox.said_goodbye = True
    sandbox.thaw()
    if sandbox.telemetry is not None:
        sandbox.telemetry.flush()
    if api.extensions.external:
        await _end_all(sandbox, reason)
    else:
        process.signal_command(signal.SIGTERM)
        await asyncio.wait({process.exited}, timeout=INTERNAL_WINDOW_S)


async def _end_all(sandbox: Sandbox, reason: ShutdownReason) -> None:
    api, process, link = sandbox.api, sandbox.process, sandbox.init_process
    assert api is not None
    assert process is not None
    assert link is not None  # external extensions were started through it
    extensions, window = api.extensions, Deadline.after(WINDOW_S)
    deadline_ms = sandbox.services.now_ms() + int(WINDOW_S * 1000)
    if not sandbox.runtime_gone.is_set():
        link.signal(init_process.RUNTIME, signal.SIGTERM)
        share_s = INTERNAL_WINDOW_S if extensions.internal else _RUNTIME_S
        await _first(sandbox.runtime_gone.wait(), process.exited, share_s)
        link.signal(init_process.RUNTIME, signal.SIGKILL)
    extensions.shut_down(reason, deadline_ms)
    for extension in extensions.external:
        if SHUTDOWN not in extension.events:
            link.signal(extension.name, signal.SIGKILL)
    await _first(extensions.until_gone(), process.exited, window.remaining_s)


async def _first(step: Coroutine[Any, Any, Any], exited: asyncio.Future[Exit], limit_s: float) -> None:
    """Wait for one of the two, or for `limit_s`."""
    stepping: asyncio.Future[Any] = asyncio.ensure_future(step)
    try:
        ends: set[asyncio.Future[Any]] = {stepping, exited}
        await asyncio.wait(ends, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stepping.cancel()


async def kill(sandbox: Sandbox) -> None:
    """End the processes and the Runtime API; what they had printed is in the log. The sandbox may be started again."""
    process, api, link, telemetry = sandbox.process, sandbox.api, sandbox.init_process, sandbox.telemetry
    sandbox.read_peak_mb()  # gone with the processes, but REPORT comes after them
    sandbox.process = sandbox.api = sandbox.init_process = sandbox.telemetry = None
    sandbox.said_goodbye = False
    sandbox.runtime_gone.clear()
    sandbox.watchdog.clear()
    sandbox.frost.clear()
    try:
        if api is not None:
            api.end(SHUT_DOWN)
            api.close()
        if link is not None:
            link.close()
        if telemetry is not None:
            telemetry.close()
        sandbox.log.detach()
    finally:
        if process is not None:
            await process.stop()
        # Init's limit may have passed while the sandbox was being built.
        await sandbox.supervisor.discarded(sandbox.id)
