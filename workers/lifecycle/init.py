"""Init: start the extensions and the runtime, and wait until each has asked for its first event.

Ready is the first Next, not the fork: what the handler's module does when it is imported is Init. Order: every external
extension is started, all register, then the runtime starts and internal ones register with it; when all have called
Next, registration and subscription are closed. After the limit, or an error, the phase ends and its processes with it;
it is repeated inside the next invocation ("suppressed Init").

The runtime is one that has booted already, if there is one (a stem cell); nothing else is different then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from workers.billing import INIT, Bill, billed_ms
from workers.lifecycle import telling
from workers.lifecycle.cell_start import kind_for
from workers.lifecycle.endings import INIT_TIMED_OUT, RESTORE_TIMED_OUT, SHUT_DOWN
from workers.lifecycle.environment import sandbox_environment
from workers.lifecycle.log_lines import Phase
from workers.lifecycle.shutdown import kill, say_goodbye
from workers.runtimes.runtime import InvalidEntrypoint
from workers.sandbox import init_process
from workers.sandbox.extensions import Extensions, external_names
from workers.sandbox.init_process import InitProcess
from workers.sandbox.isolation.spec import CODE_TARGET, LAYERS_TARGET
from workers.sandbox.runtime_api import Ending, InitError, RuntimeApi, serve
from workers.sandbox.state import SandboxState
from workers.sandbox.stem_cell import StemCell
from workers.sandbox.supervisor import Egress, Mount, SandboxSpec, SpawnFailed
from workers.sandbox.telemetry import Telemetry

if TYPE_CHECKING:
    from workers.sandbox.sandbox import Sandbox

log = logging.getLogger(__name__)

Failure = InitError | Ending


async def run_init(sandbox: Sandbox, phase: Phase, limit_s: float) -> Failure | None:
    """None: READY. A failure: INIT_FAILED, or STOPPED if the sandbox was shut down meanwhile.

    Raises SpawnFailed (STOPPED), CancelledError (STOPPED).
    """
    sandbox.advance(SandboxState.INITIALIZING)
    sandbox.restore_began_s, sandbox.restore_ms = 0.0, None
    began_s = sandbox.init_began_s = time.monotonic()
    sandbox.init_phase = phase
    try:
        failure = await _start(sandbox, phase, limit_s)
    except BaseException:  # cancellation too: a half-started runtime must not outlive us
        await sandbox.shutdown("failure")
        raise
    ended_s = time.monotonic()
    took_ms = min((sandbox.restore_began_s or ended_s) - began_s, limit_s) * 1000
    if sandbox.state is not SandboxState.INITIALIZING:
        await sandbox.shutdown("failure")  # under way already: wait for its end
        return failure or SHUT_DOWN
    timed_out = isinstance(failure, Ending) and (failure.timed_out or failure is RESTORE_TIMED_OUT)
    status = "success" if failure is None else "timeout" if timed_out else "error"
    error_type = "" if failure is None else failure.error_type
    if sandbox.restore_began_s:
        sandbox.restore_ms = (ended_s - sandbox.restore_began_s) * 1000
        telling.extensions(sandbox, sandbox.services.now_ms())
        telling.restore_end(sandbox, status, error_type, sandbox.restore_ms)
    else:
        telling.init_end(sandbox, phase, status, error_type, took_ms)
    if failure is None:
        _open_for_work(sandbox, took_ms if phase == "init" and not sandbox.provisioned else None)
        if sandbox.provisioned and phase == "init":
            _bill_init(sandbox, took_ms)
        return None
    await say_goodbye(sandbox, "timeout" if timed_out else "failure")
    await kill(sandbox)
    if sandbox.state is SandboxState.INITIALIZING:
        sandbox.advance(SandboxState.INIT_FAILED)
    return failure


async def _start(sandbox: Sandbox, phase: Phase, limit_s: float) -> Failure | None:
    api = sandbox.api = RuntimeApi(sandbox, sandbox.services.limits)
    external = external_names(sandbox.layers_dir)
    api.extensions = Extensions(external, ended=lambda: api.ended is not None)
    api.telemetry = sandbox.telemetry = Telemetry(sandbox.connect)
    api.facts = {
        "functionName": sandbox.version.name,
        "functionVersion": sandbox.version.version,
        "handler": sandbox.version.handler,
        "accountId": sandbox.version.account,
    }
    link = api.init_process = sandbox.init_process = InitProcess(sandbox) if external else None
    telling.init_start(sandbox, phase)
    sandbox.start_ended.clear()
    try:
        async with asyncio.timeout(limit_s) as sandbox.init_limit:
            spec = spec_of(sandbox, with_extensions=link is not None)
            cell = await _cell(sandbox, spec) if link is None else None
            process = cell.process if cell is not None else await sandbox.supervisor.spawn(spec)
            sandbox.attach(process, api)
            await serve(api, process.listener)
            if cell is not None:
                cell.begin(sandbox.supervisor.environment(spec) | {"PWD": CODE_TARGET})
            if link is not None:
                await _start_extensions(api, link, external)
            failure = await api.started
            api.extensions.closed = True
            if failure is None and api.extensions.active:
                await api.extensions.until(api.extensions.all_waiting)
                failure = api.ended
            return failure
    except TimeoutError:
        in_time = phase == "init" or time.monotonic() < sandbox.init_began_s + limit_s
        ending = RESTORE_TIMED_OUT if sandbox.restore_began_s and in_time else INIT_TIMED_OUT
        api.end(ending)
        return ending
    except InvalidEntrypoint as exc:
        return Ending("Runtime.InvalidEntrypoint", str(exc))
    finally:
        sandbox.init_limit = None
        sandbox.start_ended.set()


async def _cell(sandbox: Sandbox, spec: SandboxSpec) -> StemCell | None:
    """A stem cell that has this function's files and limits; None: a full start is needed."""
    cells = sandbox.services.cells
    kind = kind_for(sandbox.runtime, spec) if cells is not None else None
    cell = cells.take(kind) if cells is not None and kind is not None else None
    if cell is not None:
        try:
            await cell.furnish(spec, sandbox.layers_dir)
        except SpawnFailed as exc:
            fields = {"action": "cell_lost", "function": sandbox.version.arn, "reason": str(exc)}
            log.warning("stem cell lost", extra=fields)
            return None
    return cell


async def _start_extensions(api: RuntimeApi, link: InitProcess, names: tuple[str, ...]) -> None:
    """All of them, then the runtime once all have registered; nothing more once something has failed."""
    first: set[asyncio.Future[Any]] = {link.connected, api.started}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if api.ended is None:
        for name in names:
            link.start(name)
        await api.extensions.until(api.extensions.all_registered)
    if api.ended is None:
        link.start(init_process.RUNTIME)


def spec_of(sandbox: Sandbox, *, with_extensions: bool = False) -> SandboxSpec:
    """What a full start spawns. Raises InvalidEntrypoint."""
    version, runtime = sandbox.version, sandbox.runtime
    credentials = sandbox.services.environment(version, sandbox.id)
    environment = sandbox_environment(
        version,
        runtime.environment(),
        credentials,
        log_group=sandbox.log.key.group,
        log_stream=sandbox.log.stream,
        initialization=sandbox.initialization,
    )
    mounts = runtime.mounts
    if sandbox.layers_dir is not None:
        mounts += (Mount(sandbox.layers_dir, LAYERS_TARGET),)
    shown = (*mounts, Mount(sandbox.code_dir, CODE_TARGET))
    command = runtime.command(version.handler, memory_mb=version.memory_mb, mounts=shown, environment=environment)
    if with_extensions:
        command, more = init_process.command(command)
        mounts += more
    return SandboxSpec(
        sandbox_id=sandbox.id,
        command=command,
        environment=environment,
        code_dir=sandbox.code_dir,
        mounts=mounts,
        memory_mb=version.memory_mb,
        ephemeral_mb=version.ephemeral_mb,
        cpu_weight=version.memory_mb,
        pids_max=sandbox.services.limits.processes,
        open_files=sandbox.services.limits.open_files,
        egress=Egress(version.egress) if version.egress else sandbox.services.egress,
    )


def _bill_init(sandbox: Sandbox, took_ms: float) -> None:
    """Init ahead of requests is billed by itself, whatever the setting says of Init on demand."""
    t_ms = sandbox.services.now_ms()
    sandbox.services.bills.append(Bill(t_ms, sandbox.version, "", billed_ms(took_ms), took_ms, True, INIT))


def _open_for_work(sandbox: Sandbox, init_ms: float | None) -> None:
    assert sandbox.process is not None
    assert sandbox.telemetry is not None  # started
    sandbox.telemetry.close_subscriptions()
    sandbox.process.set_cpu(sandbox.cpu_cores())
    sandbox.init_ms = init_ms
    sandbox.last_used_s = time.monotonic()
    sandbox.advance(SandboxState.READY)
    sandbox.rest()
