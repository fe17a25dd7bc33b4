"""A stem cell: a sandbox with a runtime that has booted, and nothing of a function's in it.

It becomes one function's sandbox, once: it gets the files and limits, then, as the answer to the call in which it
waits, the environment. Nothing of one function can reach another through it, for it has had none before.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hearth.clock import Deadline
from hearth.limits import Limits
from workers.sandbox.supervisor import Egress, Mount, SandboxProcess, SandboxSpec, SpawnFailed, Supervisor

#: A cell boots when nothing else is to be done, with next to no share of the processors.
_BOOT_S = 60.0
_BOOT_WEIGHT = 16
_CALL = b"GET /hearth/cell HTTP/1.1\r\n"
_CALL_BYTES = 1024


@dataclass(frozen=True, slots=True)
class CellKind:
    """All that is decided before a function is known: cells of one kind are alike. environment: what it boots with.
    memory_mb: limit while it boots; a runtime whose heap is sized at its start has kinds of its own for each size."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    mounts: tuple[Mount, ...]
    memory_mb: int
    ephemeral_mb: int
    egress: Egress
    #: see CellRecipe
    enters: bool = False

    def spec(self, limits: Limits) -> SandboxSpec:
        return SandboxSpec(
            sandbox_id=f"cell-{uuid.uuid4().hex}",
            command=self.command,
            environment=dict(self.environment),
            code_dir=None,
            mounts=self.mounts,
            memory_mb=self.memory_mb,
            ephemeral_mb=self.ephemeral_mb,
            cpu_weight=_BOOT_WEIGHT,
            pids_max=limits.processes,
            open_files=limits.open_files,
            egress=self.egress,
        )


class StemCell:
    """Made by `boot`. Whoever takes it stops its process in the end."""

    def __init__(self, process: SandboxProcess, call: _Call, *, enters: bool) -> None:
        self.process = process
        self._enters = enters
        self._call = call

    @property
    def lives(self) -> bool:
        return not self.process.exited.done() and not self._call.ended

    async def furnish(self, spec: SandboxSpec, layers: Path | None) -> None:
        """Make it the sandbox of `spec`, but for the environment. Raises SpawnFailed; its process is stopped then."""
        assert spec.code_dir is not None  # a function's
        try:
            await self.process.furnish(spec.code_dir, layers, spec.limits, on_top=self._enters)
        except BaseException:  # cancellation too: its files may be half there
            await self.process.stop()
            raise

    def begin(self, environment: Mapping[str, str]) -> None:
        """Let it run: the Runtime API is served by now."""
        self._call.answer(b"".join(f"{name}={value}\0".encode() for name, value in environment.items()))


async def boot(supervisor: Supervisor, kind: CellKind, limits: Limits) -> StemCell:
    """Raises SpawnFailed, and leaves nothing behind then or when it is cancelled."""
    process = await supervisor.spawn(kind.spec(limits))
    try:
        async with Deadline.after(_BOOT_S).scope():
            return StemCell(process, await _first_call(process), enters=kind.enters)
    except TimeoutError as exc:
        await process.stop()
        raise SpawnFailed("the runtime did not boot in time") from exc
    except BaseException:
        await process.stop()
        raise


async def _first_call(process: SandboxProcess) -> _Call:
    """Its call for a function, which says that it has booted."""
    loop = asyncio.get_running_loop()
    called: asyncio.Future[_Call] = loop.create_future()
    server = await loop.create_server(lambda: _Call(called), sock=process.listener.dup())
    try:
        either: set[asyncio.Future[Any]] = {called, process.exited}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.close()
    if not called.done():
        raise SpawnFailed(f"the runtime did not boot: {await process.said() or process.exited.result()}")
    return called.result()


class _Call(asyncio.Protocol):
    """The connection on which a cell waits."""

    def __init__(self, called: asyncio.Future[_Call]) -> None:
        self._called = called
        self._received = b""
        self._transport: asyncio.Transport
        self.ended = False

    def answer(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._transport.write(head.encode() + body)
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        whole = self._received.endswith(b"\r\n\r\n")
        if whole and self._received.startswith(_CALL) and not self._called.done():
            self._called.set_result(self)
        elif whole or len(self._received) > _CALL_BYTES:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
