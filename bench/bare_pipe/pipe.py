"""Starts and stops the bare pipe's processes: one gateway, and a worker with its own queue per concurrency."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from bench.load import Request, plain_requests
from hearth.embedded.process import OnLine, Process, until_ready
from hearth.embedded.stackfile import free_port, is_free

_START_S = 60.0
_STOP_S = 5.0
_ROOT = Path(__file__).resolve().parents[2]


def queue_name(concurrency: int) -> str:
    return f"bench.bare.{concurrency}"


class BarePipe:
    """A context. `command`: what starts a runtime; it inherits the environment."""

    def __init__(self, broker_url: str, concurrencies: Sequence[int], command: Sequence[str], on_line: OnLine) -> None:
        self._broker_url = broker_url
        self._concurrencies = concurrencies
        self._command = command
        self._on_line = on_line
        self._gateway: Process
        self._workers: dict[int, Process] = {}
        self.host, self.port = "127.0.0.1", free_port()

    async def __aenter__(self) -> BarePipe:
        async with AsyncExitStack() as stack:
            for concurrency in self._concurrencies:
                arguments = [self._broker_url, queue_name(concurrency), str(concurrency), *self._command]
                worker = await self._start(stack, f"bare-worker-{concurrency}", "worker", arguments)
                await until_ready(worker, partial(_said_ready, worker), deadline_s=_START_S)
                self._workers[concurrency] = worker
            self._gateway = await self._start(stack, "bare-gateway", "gateway", [self._broker_url, str(self.port)])
            await until_ready(self._gateway, self._gateway_listens, deadline_s=_START_S)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack, name: str, module: str, arguments: Sequence[str]) -> Process:
        argv = [sys.executable, "-m", f"bench.bare_pipe.{module}", *arguments]
        process = await Process.start(name, argv, env=os.environ, cwd=_ROOT, on_line=self._on_line)
        stack.push_async_callback(process.stop, _STOP_S)
        return process

    async def _gateway_listens(self) -> bool:
        return not is_free(self.port)

    def roots(self, concurrency: int) -> Mapping[str, int]:
        """Kind -> pid of the processes that serve this concurrency."""
        return {"gateway": self._gateway.pid, "worker": self._workers[concurrency].pid}

    def requests(self, concurrency: int, payloads: Sequence[bytes]) -> list[Request]:
        return plain_requests(f"http://{self.host}:{self.port}/{queue_name(concurrency)}", payloads)


async def _said_ready(process: Process) -> bool:
    return "ready" in process.tail
