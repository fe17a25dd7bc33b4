"""One execution environment of one function version: its state, its processes, its log.

The phases are functions in workers.lifecycle; this object holds what they share and reacts to what happens between
their steps: the runtime takes an event, asks for one, dies, or runs out of time.
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hearth.clock import now_ms
from hearth.limits import AWS_LIMITS, Limits
from hearth.logs import LogWriter
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult
from workers.billing import BillWriter
from workers.function_log import FunctionLog
from workers.lifecycle import endings, telling
from workers.lifecycle.init import run_init
from workers.lifecycle.invoke import run_invoke
from workers.lifecycle.log_lines import Phase, log_lines
from workers.lifecycle.records import Initialization
from workers.lifecycle.shutdown import ShutdownReason, run_shutdown
from workers.lifecycle.watchdog import Watchdog
from workers.runtimes import Runtime
from workers.sandbox import init_process
from workers.sandbox.extensions import ExtensionState
from workers.sandbox.init_process import InitProcess
from workers.sandbox.runtime_api import Ending, RuntimeApi, Sink
from workers.sandbox.state import SandboxState, next_state
from workers.sandbox.stem_cells import StemCells
from workers.sandbox.supervisor import Egress, Exit, SandboxProcess, Supervisor
from workers.sandbox.telemetry import Telemetry

#: idle time after which the processes are frozen; and at the latest, if telemetry is not taken
FREEZE_AFTER_S = 0.1
FREEZE_AT_LATEST_S = 2.0
#: limit of an Init ahead of requests; a longer function timeout is its limit
PROVISIONED_INIT_S = 130.0
#: MB that come with one core on AWS
_MB_PER_CORE = 1769


@dataclass(frozen=True, slots=True)
class Services:
    """What all sandboxes of a worker share.

    environment(version, sandbox id): the variables that the platform adds, above all the role's credentials
    (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN). init_s: limit of the Init phase, and of restoring.
    billing: `aws-2025` bills Init too. cpu: `quota` gives memory / 1769 MB cores at most, `weight` at least one.
    egress: of functions that do not say. cells: runtimes that have booted already. now_ms: the wall clock.
    """

    logs: LogWriter
    bills: BillWriter
    environment: Callable[[FunctionVersion, str], Mapping[str, str]]
    init_s: float = 10.0
    billing: Literal["invoke", "aws-2025"] = "invoke"
    cpu: Literal["weight", "quota"] = "weight"
    egress: Egress = Egress.PLATFORM
    cells: StemCells | None = None
    limits: Limits = AWS_LIMITS
    now_ms: Callable[[], int] = now_ms


class Sandbox:
    """At most one phase runs at a time, but `shutdown` may come at any moment.

    last_used_s: monotonic time of the last phase's end. init_ms: duration of a good Init of phase `init`, until the
    first invocation has reported it; None otherwise.
    """

    def __init__(
        self,
        version: FunctionVersion,
        *,
        code_dir: Path,
        runtime: Runtime,
        supervisor: Supervisor,
        services: Services,
        layers_dir: Path | None = None,
        provisioned: bool = False,
    ) -> None:
        """code_dir: the unpacked package; layers_dir: the merged layers, for /opt. provisioned: it is initialised ahead
        of requests, and kept. Make it inside the running event loop."""
        self.id = uuid.uuid4().hex
        self.version, self.runtime, self.code_dir = version, runtime, code_dir
        self.layers_dir = layers_dir
        self.supervisor, self.services = supervisor, services
        self.state = SandboxState.NEW
        self.log = FunctionLog(version, services.logs)
        self.provisioned = provisioned
        self.initialization: Initialization = "provisioned-concurrency" if provisioned else "on-demand"
        self.lines = log_lines(version, self.initialization)
        self.last_used_s = time.monotonic()
        self.init_ms: float | None = None
        self.init_announced = False
        #: True until the first invocation that ran here has ended; one that is provisioned is warm from the start
        self.cold = not provisioned
        self.process: SandboxProcess | None = None
        self.api: RuntimeApi | None = None
        self.telemetry: Telemetry | None = None
        #: where external extensions are: it starts them and the runtime
        self.init_process: InitProcess | None = None
        self.runtime_gone = asyncio.Event()
        #: the SHUTDOWN sequence of the present processes has begun
        self.said_goodbye = False
        #: of the Init that is going on: its phase, monotonic beginning and limit
        self.init_phase: Phase = "init"
        self.init_began_s = 0.0
        self.init_limit: asyncio.Timeout | None = None
        #: of the restoring before the first invocation: monotonic time, and its duration until told; 0.0 and None: none
        self.restore_began_s = 0.0
        self.restore_ms: float | None = None
        #: the rest of an invocation that has been answered: extensions are still at work, or are being shut down
        self.settling: asyncio.Task[Any] | None = None
        #: not set while a runtime is being started
        self.start_ended = asyncio.Event()
        self.start_ended.set()
        self.watchdog = Watchdog(self._out_of_time)
        #: set while nothing is to be done; when it fires, the processes are frozen
        self.frost = Watchdog(self._freeze)
        #: monotonic time: when the invocation began (its event was taken, or its suppressed Init began)
        self.began_s = 0.0
        #: most memory held so far, and the monotonic time at which it was read
        self.peak_mb = 0
        self.peak_read_s = 0.0
        self._stopping: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None

    # --- phases ---------------------------------------------------------------------------------------------
    async def initialize(self) -> None:
        """The Init phase. Afterwards READY, or INIT_FAILED with its processes reaped; or STOPPED, if `shutdown` was
        called meanwhile. What the user's code does wrong never raises.

        Raises SpawnFailed: the platform could not build the sandbox; it is STOPPED.
        """
        limit_s = self.services.init_s
        if self.provisioned:
            limit_s = max(limit_s, PROVISIONED_INIT_S, self.version.timeout_s)
        await run_init(self, "init", limit_s)

    async def invoke(self, invocation: Invocation, sink: Sink | None = None) -> InvocationResult:
        """Run one invocation; returns as soon as the runtime has posted its response, before its next Next.

        Where extensions are registered, the invocation may go on after it: wait for `settled` then before the next one.
        An invocation that wants its log's tail returns only then, for its log is whole only then.

        sink: takes a streamed response as it comes, and it is not in the result then.

        With no runtime (Init failed or was never run, the runtime died idle), Init runs first, within the function's
        timeout, and its error document is the result if it fails. Afterwards READY, or STOPPED with the processes
        reaped (timeout, crash, out of memory, failed Init).

        Raises SpawnFailed: the platform could not build the sandbox; it is STOPPED and nothing ran.
        """
        return await run_invoke(self, invocation, sink)

    async def settled(self) -> None:
        """Wait until extensions have done their part of the last invocation too."""
        if self.settling is not None:
            await asyncio.shield(self.settling)
            self.settling = None

    @property
    def reusable(self) -> bool:
        """READY, and its runtime lives."""
        return self.state is SandboxState.READY and self.api is not None and self.api.ended is None

    async def shutdown(self, reason: ShutdownReason) -> None:
        """End it; STOPPED afterwards. Idempotent; goes on if the caller is cancelled."""
        if self._stopping is None:
            # Owned here, awaited by every caller.
            self._stopping = asyncio.create_task(run_shutdown(self, reason))
        await asyncio.shield(self._stopping)

    # --- for the phases -------------------------------------------------------------------------------------
    def advance(self, state: SandboxState) -> None:
        self.state = next_state(self.state, state)

    def attach(self, process: SandboxProcess, api: RuntimeApi) -> None:
        self.process = process
        self.log.attach(process.output_fd)
        self.log.telemetry = api.telemetry
        process.exited.add_done_callback(lambda exited: self._exited(api, exited))

    async def connect(self, port: int) -> socket.socket:
        """To a listener inside, for telemetry. Raises OSError."""
        if self.process is None:
            raise ConnectionError("the sandbox has ended")
        return await self.process.connect(port)

    def rest(self) -> None:
        """Nothing is to be done now: if it stays so for a moment, the processes are frozen."""
        self.frost.set(time.monotonic() + FREEZE_AFTER_S)

    def thaw(self) -> None:
        self.frost.clear()
        if self.process is not None and self.process.frozen:
            self.process.thaw()

    def cpu_cores(self) -> float:
        """The quota outside Init (which runs without one, as on AWS)."""
        share = self.version.memory_mb / _MB_PER_CORE
        return share if self.services.cpu == "quota" else max(1.0, share)

    def read_peak_mb(self) -> None:
        if self.process is not None:
            self.peak_read_s = time.monotonic()
            self.peak_mb = max(self.peak_mb, self.process.peak_memory_mb())

    # --- RuntimeEvents --------------------------------------------------------------------------------------
    def event_taken(self, invocation: Invocation) -> int:
        now_s, t_ms = time.monotonic(), self.services.now_ms()
        if not self.began_s:
            self.began_s = now_s
        left_s = self.began_s + self.version.timeout_s - now_s
        self.watchdog.set(now_s + left_s)
        self.thaw()
        self.log.drain()
        telling.start(self, invocation, t_ms)
        deadline_ms = t_ms + int(left_s * 1000)
        assert self.api is not None  # it calls
        if self.api.extensions.active:
            self.api.extensions.invoke(invocation, deadline_ms)
        return deadline_ms

    def runtime_waits(self) -> None:
        assert self.api is not None  # it calls
        if not self.api.extensions.active:  # else the invocation goes on, until they wait too
            self.watchdog.clear()
            self.rest()

    def restore_begins(self) -> None:
        self.restore_began_s = time.monotonic()
        telling.restore_start(self, self.init_phase, (self.restore_began_s - self.init_began_s) * 1000)
        if self.init_limit is not None:
            loop_s, given_s = asyncio.get_running_loop().time(), self.init_limit.when()
            limit_s = loop_s + self.services.init_s
            # Inside an invocation its timeout holds too.
            self.init_limit.reschedule(limit_s if self.init_phase == "init" else min(limit_s, given_s or limit_s))

    # --- init_process.Reports -------------------------------------------------------------------------------
    def start_failed(self, name: str, why: str) -> None:
        if self.api is None:
            return
        if name == init_process.RUNTIME:
            self.api.end(Ending("Runtime.InvalidEntrypoint", why))
            return
        extension = self.api.extensions.all[name]
        extension.state, extension.gone = ExtensionState.LAUNCH_ERROR, True
        extension.error_type = "Extension.LaunchError"
        self.api.end(Ending(extension.error_type, why))

    def process_exited(self, name: str, code: int) -> None:
        if self.api is None or self.process is None:
            return
        exit = Exit.of(code, oom_killed=self.process.oom_kills() > 0)
        if name == init_process.RUNTIME:
            self.runtime_gone.set()
            self.api.end(endings.after_exit(exit))
            return
        extension = self.api.extensions.all[name]
        extension.gone = True
        if self.said_goodbye:
            extension.state = ExtensionState.EXITED
            self.api.extensions.changed()
        else:
            extension.error_type = extension.error_type or "Extension.Crash"
            self.api.end(endings.after_extension_exit(exit))

    def extension_said(self, name: str, line: str) -> None:
        self.log.extension(line)

    # --- private --------------------------------------------------------------------------------------------
    def _freeze(self) -> None:
        """It has been idle for a moment."""
        api, process = self.api, self.process
        if self.state is not SandboxState.READY or api is None or process is None or api.ended or not api.waiting:
            return
        if self.telemetry is not None and self.telemetry.pending and self._idle_s() < FREEZE_AT_LATEST_S:
            # Its subscriber can take it only while it runs.
            self.telemetry.flush()
            self.rest()
            return
        process.freeze()

    def _idle_s(self) -> float:
        return time.monotonic() - self.last_used_s

    def _out_of_time(self) -> None:
        """The function's timeout, from the event to the next Next."""
        if self.api is None:
            return
        running = self.state is SandboxState.INVOKING and self.api.taken
        self.api.end(endings.after_timeout(self.version.timeout_s))
        if not running and self.process is not None:
            # It had answered, but never asked again. Nobody waits for it: ended here, replaced by whoever comes next.
            self.log.detach()
            # Owned here; `shutdown` and the next Init wait for the same end of the process.
            self._killing = asyncio.create_task(self.process.stop())

    def _exited(self, api: RuntimeApi, exited: asyncio.Future[Exit]) -> None:
        if not exited.cancelled():
            api.end(endings.after_exit(exited.result()))
