"""Init: start the runtime and wait until it asks for its first event.

Ready is the first Next, not the fork: what the handler's module does when it is imported is Init. After the limit, or
an error, the phase ends and its processes with it; it is repeated inside the next invocation ("suppressed Init").
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from workers.lifecycle.endings import INIT_TIMED_OUT, SHUT_DOWN
from workers.lifecycle.environment import sandbox_environment
from workers.lifecycle.log_lines import Phase
from workers.lifecycle.shutdown import kill
from workers.sandbox.runtime_api import Ending, InitError, RuntimeApi, serve
from workers.sandbox.state import SandboxState
from workers.sandbox.supervisor import Egress, SandboxSpec

if TYPE_CHECKING:
    from workers.sandbox.sandbox import Sandbox

Failure = InitError | Ending


async def run_init(sandbox: Sandbox, phase: Phase, limit_s: float) -> Failure | None:
    """None: READY. A failure: INIT_FAILED, or STOPPED if the sandbox was shut down meanwhile.

    Raises SpawnFailed (STOPPED), CancelledError (STOPPED).
    """
    sandbox.advance(SandboxState.INITIALIZING)
    _announce(sandbox)
    began_s = time.monotonic()
    try:
        failure = await _start(sandbox, limit_s)
    except BaseException:  # cancellation too: a half-started runtime must not outlive us
        await sandbox.shutdown("failure")
        raise
    took_ms = min(time.monotonic() - began_s, limit_s) * 1000
    if sandbox.state is not SandboxState.INITIALIZING:
        await sandbox.shutdown("failure")  # under way already: wait for its end
        return failure or SHUT_DOWN
    if failure is None:
        _open_for_work(sandbox, took_ms if phase == "init" else None)
        return None
    await kill(sandbox)
    status = "timeout" if isinstance(failure, Ending) and failure.timed_out else "error"
    line = sandbox.lines.init_report(phase, status, failure.error_type, took_ms, sandbox.services.now_ms())
    sandbox.log.platform(line)
    if sandbox.state is SandboxState.INITIALIZING:
        sandbox.advance(SandboxState.INIT_FAILED)
    return failure


async def _start(sandbox: Sandbox, limit_s: float) -> Failure | None:
    api = sandbox.api = RuntimeApi(sandbox)
    sandbox.start_ended.clear()
    try:
        async with asyncio.timeout(limit_s):
            process = await sandbox.supervisor.spawn(_spec(sandbox))
            sandbox.attach(process, api)
            await serve(api, process.listener)
            return await api.started
    except TimeoutError:
        api.end(INIT_TIMED_OUT)
        return INIT_TIMED_OUT
    finally:
        sandbox.start_ended.set()


def _spec(sandbox: Sandbox) -> SandboxSpec:
    version, runtime = sandbox.version, sandbox.runtime
    credentials = sandbox.services.environment(version, sandbox.id)
    return SandboxSpec(
        sandbox_id=sandbox.id,
        command=runtime.command(version.handler),
        environment=sandbox_environment(
            version, runtime.environment(), credentials, log_group=sandbox.log.key.group, log_stream=sandbox.log.stream
        ),
        code_dir=sandbox.code_dir,
        mounts=runtime.mounts,
        memory_mb=version.memory_mb,
        ephemeral_mb=version.ephemeral_mb,
        cpu_weight=version.memory_mb,
        egress=Egress(version.egress) if version.egress else sandbox.services.egress,
    )


def _announce(sandbox: Sandbox) -> None:
    """INIT_START, once in a sandbox's life: a repeated Init prints only its INIT_REPORT."""
    if not sandbox.init_announced:
        sandbox.init_announced = True
        level = str(sandbox.supervisor.level)
        line = sandbox.lines.init_start(sandbox.runtime.version, level, sandbox.services.now_ms())
        sandbox.log.platform(line)


def _open_for_work(sandbox: Sandbox, init_ms: float | None) -> None:
    assert sandbox.process is not None  # started
    sandbox.process.set_cpu(sandbox.cpu_cores())
    sandbox.init_ms = init_ms
    sandbox.last_used_s = time.monotonic()
    sandbox.advance(SandboxState.READY)
