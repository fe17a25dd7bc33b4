"""Starts and stops Celery's processes: for each concurrency a prefork worker of so many processes, and a caller."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

from bench.load import Load
from hearth.embedded.process import OnLine, Process, StartFailed, end_with

_START_S = 100.0
_STOP_S = 10.0
_ROOT = Path(__file__).resolve().parents[2]
#: a line of answers holds every latency
_LINE_BYTES = 2**24
#: for calls in flight when the time is over
_GRACE_S = 40.0


def installed() -> bool:
    return find_spec("celery") is not None


class CeleryPeer:
    """A context."""

    def __init__(self, broker_url: str, concurrencies: Sequence[int], on_line: OnLine) -> None:
        self._environment = os.environ | {"BENCH_BROKER_URL": broker_url}
        self._concurrencies = concurrencies
        self._on_line = on_line
        self._workers: dict[int, Process] = {}
        self._callers: dict[int, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> CeleryPeer:
        async with AsyncExitStack() as stack:
            for concurrency in self._concurrencies:
                worker = await self._start_worker(concurrency)
                stack.push_async_callback(worker.stop, _STOP_S)
                self._workers[concurrency] = worker
                caller = self._callers[concurrency] = await self._start_caller(concurrency)
                stack.push_async_callback(_end, caller)
                await self._answered(caller, _START_S)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start_worker(self, concurrency: int) -> Process:
        argv = [sys.executable, "-m", "celery", "-A", "bench.celery_rpc.app", "worker", "--pool", "prefork"]
        argv += ["--concurrency", str(concurrency), "--queues", f"bench.celery.{concurrency}", "--loglevel", "WARNING"]
        argv += ["--hostname", f"bench-{concurrency}@%h", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        name = f"celery-worker-{concurrency}"
        return await Process.start(name, argv, env=self._environment, cwd=_ROOT, on_line=self._on_line)

    async def _start_caller(self, concurrency: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.celery_rpc.caller", str(concurrency)),
            env=self._environment,
            cwd=_ROOT,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=_LINE_BYTES,
            start_new_session=True,
            preexec_fn=end_with(os.getpid(), signal.SIGTERM),
        )

    async def _answered(self, caller: asyncio.subprocess.Process, limit_s: float) -> bytes:
        assert caller.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                if line := await caller.stdout.readline():
                    return line
        raise StartFailed(f"Celery's caller gave no answer within {limit_s:.0f} s.")

    def roots(self, concurrency: int) -> Mapping[str, int]:
        """Kind -> pid of the processes that serve this concurrency."""
        return {"gateway": self._callers[concurrency].pid, "worker": self._workers[concurrency].pid}

    async def load(self, concurrency: int, seconds: float) -> Load:
        """A closed loop for so long. Raises StartFailed if the caller has ended."""
        caller = self._callers[concurrency]
        assert caller.stdin is not None
        caller.stdin.write(f"{seconds}\n".encode())
        await caller.stdin.drain()
        seen = json.loads(await self._answered(caller, seconds + _GRACE_S))
        return Load(seen["seconds"], seen["latencies_ns"], Counter(seen["errors"]))


async def _end(caller: asyncio.subprocess.Process) -> None:
    """It keeps nothing: no need to be gentle."""
    with contextlib.suppress(ProcessLookupError):
        caller.kill()
    await caller.wait()
