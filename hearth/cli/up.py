"""`hearth up`: from nothing to a function's answer, then one log until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from rich.console import Console

from hearth.cli import endpoint, example
from hearth.cli.doctor import problems, refusal, summary
from hearth.cli.health import health
from hearth.cli.logview import LogView
from hearth.cli.service_unit import ServiceUnit
from hearth.cli.stack import Stack
from hearth.cli.steps import Steps
from hearth.embedded import companion, packages
from hearth.embedded.process import StartFailed
from hearth.embedded.servers import Servers
from hearth.embedded.stackfile import Running, StackFile, is_free
from hearth.settings import Settings

#: `make` passes on a signal that the whole process group already got: the same one, not a second one
_SAME_SIGNAL_S = 1.0


class Up:
    """One run: bring everything up, stay, take everything down."""

    def __init__(
        self, settings: Settings, record: StackFile, console: Console, log: Path | None, companion: str = ""
    ) -> None:
        """companion: services that a companion server is started for, as `s3,sqs`."""
        self._settings = settings
        self._companion = companion
        self._record = record
        self._console = console
        self._log = log
        self._view = LogView(console)
        self._steps = Steps(console)
        self._stopping = asyncio.Event()
        self._stopping_since_s = 0.0

    async def run(self) -> int:
        """Exit status. Nothing that was started remains."""
        loop = asyncio.get_running_loop()
        async with Stack(self._record, self._settings.drain_seconds, self._view.say) as stack:
            bringing_up = asyncio.ensure_future(self._bring_up(stack))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self._on_signal, stack, bringing_up)
            try:
                await bringing_up
            except asyncio.CancelledError:
                return 130
            except StartFailed as exc:
                self._console.print("[bold red]error[/] ", end="")
                self._console.print(str(exc), markup=False)
                return 1
            await self._stopping.wait()
        self._view.say("stopped")
        return 0

    def _on_signal(self, stack: Stack, bringing_up: asyncio.Future[None]) -> None:
        if not self._stopping.is_set():
            self._view.say("stopping in order; Ctrl-C once more ends everything at once")
            self._stopping_since_s = time.monotonic()
            self._stopping.set()
            bringing_up.cancel()
        elif time.monotonic() - self._stopping_since_s > _SAME_SIGNAL_S:
            self._view.say("ending everything at once", "warning")
            stack.kill()

    async def _bring_up(self, stack: Stack) -> None:
        services = companion.wanted(self._companion)
        await self._prepare_host()
        settings = await self._start_servers(stack)
        if services:
            settings = await self._start_companion(stack, settings, services)
        await self._prepare_runtimes(settings)
        settings = self._choose_ports(settings)
        self._announce(settings)
        await self._start_services(stack, settings)
        await self._show_example(settings)
        assert self._record.running is not None
        self._record.running.ready = True
        self._record.save()

    async def _prepare_host(self) -> None:
        absent = packages.missing(self._settings)
        with self._steps.step("doctor", "looking at this host") as step:
            if absent:
                step.result = f"not installed yet: {', '.join(absent)}"
            else:
                step.result = await self._examine()
        if absent:
            with self._steps.step("packages", f"installing {' '.join(absent)}") as step:
                left = await packages.ensure(self._settings, step.progress)
                step.result = f"goes on without {', '.join(left)}" if left else f"installed {' '.join(absent)}"
            with self._steps.step("doctor", "looking again") as step:
                step.result = await self._examine()

    async def _examine(self) -> str:
        findings = await asyncio.to_thread(problems, self._settings)
        if why := refusal(findings):
            raise StartFailed(why)
        return summary(findings)

    async def _start_servers(self, stack: Stack) -> Settings:
        servers = Servers(self._settings, self._record, self._view.line)
        with self._steps.step("broker", "starting RabbitMQ") as step:
            for unit in servers.broker:
                await stack.start(unit)
            own = f"own RabbitMQ on 127.0.0.1:{self._record.ports.get('amqp')}"
            step.result = own if servers.broker else "RabbitMQ of HEARTH_BROKER_URL"
        with self._steps.step("state", "starting Valkey") as step:
            for unit in servers.stores:
                await stack.start(unit)
            names = ", ".join(f"{unit.name} on 127.0.0.1:{self._record.ports[unit.name]}" for unit in servers.stores)
            step.result = f"own Valkey: {names}" if names else "HEARTH_STATE_URL, HEARTH_COORDINATION_URL"
        return servers.resolved()

    async def _start_companion(self, stack: Stack, settings: Settings, services: list[str]) -> Settings:
        """The settings with its services mapped to it; endpoints that they name already stay."""
        with self._steps.step("companion", f"starting a server for {', '.join(services)}") as step:
            await companion.install(step.progress)
            server = companion.Companion(self._record, settings.account, settings.region, self._view.line)
            await stack.start(server)
            step.result = f"moto on {server.url}: {', '.join(services)}"
        mapped = dict.fromkeys(services, server.url) | settings.endpoints
        named = ",".join(f"{name}={url}" for name, url in mapped.items())
        return settings.model_copy(update={"aws_endpoints": named})

    async def _prepare_runtimes(self, settings: Settings) -> None:
        from workers import runtimes

        with self._steps.step("runtimes", "preparing the runtimes of this host") as step:
            await runtimes.prepare(settings, step.progress)
            families = sorted(runtimes.installed(settings))
            if not any(family.startswith("python") for family in families):  # the example's language
                raise StartFailed("No Python could be prepared; see the lines above. Needed: Python >= 3.9 and pip.")
            step.result = ", ".join(families)

    def _choose_ports(self, settings: Settings) -> Settings:
        """Port 0 means: any free one, the same at the next start."""
        chosen = {}
        if settings.port == 0:
            chosen["port"] = self._record.port("api")
            if settings.function_port is None:
                chosen["function_port"] = self._record.port("functions")
        settings = settings.model_copy(update=chosen)
        for setting, port in (("HEARTH_PORT", settings.port), ("HEARTH_FUNCTION_PORT", settings.function_listener)):
            if not is_free(port, settings.bind):
                raise StartFailed(f"Port {port} of {settings.bind} is taken. Choose another: export {setting}=PORT")
        return settings

    def _announce(self, settings: Settings) -> None:
        """For `hearth status`, `hearth down` and every command that looks for a gateway."""
        self._record.running = Running(
            pid=os.getpid(),
            endpoint=endpoint.endpoint_of(settings),
            broker_url=settings.broker_url or "",
            state_url=settings.state_url or "",
            coordination_url=settings.coordination_url or "",
            log=str(self._log) if self._log else None,
        )
        self._record.save()

    async def _start_services(self, stack: Stack, settings: Settings) -> None:
        where = endpoint.endpoint_of(settings)
        children = settings.model_copy(update={"stack": "up"})

        async def answers() -> bool:
            return await health(where) is not None

        async def ready() -> bool:
            answer = await health(where)
            return answer is not None and answer[0] == 200

        async def polls() -> bool:
            answer = await health(where)
            return answer is not None and answer[1].get("pollers", 0) > 0

        async def orchestrates() -> bool:
            answer = await health(where)
            return answer is not None and answer[1].get("orchestrators", 0) > 0

        with self._steps.step("gateway", "starting the API") as step:
            await stack.start(ServiceUnit("gateway", children, answers, self._view.line))
            step.result = where
        with self._steps.step("fleet", "starting workers") as step:
            await stack.start(ServiceUnit("fleet", children, ready, self._view.line))
            answer = await health(where)
            step.result = f"{answer[1].get('workers', 0)} worker(s) ready" if answer else "ready"
        with self._steps.step("poller", "starting the dispatcher of asynchronous invocations") as step:
            await stack.start(ServiceUnit("poller", children, polls, self._view.line))
            step.result = "ready"

        with self._steps.step("orchestrator", "starting the runner of workflows") as step:
            await stack.start(ServiceUnit("orchestrator", children, orchestrates, self._view.line))
            step.result = "ready"

    async def _show_example(self, settings: Settings) -> None:
        """One that fails is told, not fatal: the platform runs."""
        with self._steps.step("example", "deploying and invoking a function") as step:
            step.result = await asyncio.to_thread(example.run, settings, step.progress)
        self._console.print(example.what_next(settings), markup=False)
