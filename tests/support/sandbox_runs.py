"""Sandboxes of a real Supervisor for scenarios: a script in one of them, run to its end."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from workers.sandbox.supervisor import Mount, SandboxProcess, SandboxSpec, Supervisor


def python_in_sandbox() -> tuple[str, tuple[Mount, ...]]:
    """The running interpreter as a sandbox sees it, and the mount that shows it there."""
    prefix, name = Path(sys.base_prefix), f"python3.{sys.version_info.minor}"
    if prefix.is_relative_to("/usr"):
        return f"/usr/bin/{name}", ()
    return f"/var/lang/bin/{name}", (Mount(prefix, "/var/lang"),)


def a_spec(
    sandbox_id: str, code: Path, script: str, *, environment: dict[str, str] | None = None, **more: Any
) -> SandboxSpec:
    """A sandbox that runs a Python script given as text."""
    python, mounts = python_in_sandbox()
    environment = {"PATH": "/usr/bin:/bin", **(environment or {})}
    return SandboxSpec(sandbox_id, (python, "-c", script), environment, code, mounts, **more)


async def output_of(process: SandboxProcess) -> str:
    """All it prints until it ends."""
    text = b""
    while True:
        try:
            chunk = os.read(process.output_fd, 65536)
        except BlockingIOError:
            await asyncio.sleep(0.01)
            continue
        if not chunk:
            return text.decode()
        text += chunk


async def run(supervisor: Supervisor, spec: SandboxSpec) -> tuple[Any, str, int]:
    """Exit, output and peak of one sandbox that ends by itself."""
    process = await supervisor.spawn(spec)
    try:
        async with asyncio.timeout(60):
            text = await output_of(process)
            return await process.exited, text, process.peak_memory_mb()
    finally:
        await process.stop()


def readable_now(descriptor: int) -> bool:
    """Whether it has printed something, which is taken away."""
    try:
        return bool(os.read(descriptor, 1000))
    except BlockingIOError:
        return False
