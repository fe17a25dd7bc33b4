# ruff: noqa: ASYNC240 (parts of a test program: polling and small reads are fine in it)
"""Scenarios of a function that tries to get out of its sandbox, and of what it can reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from hearth.limits import AWS_LIMITS
from tests.support.sandbox_runs import a_spec, output_of, python_in_sandbox
from tests.support.sandbox_traces import Answer, command_lines
from workers.sandbox.stem_cell import CellKind, boot
from workers.sandbox.supervisor import SandboxSpec, Supervisor

#: what a runtime's own cell does, without a runtime
_CELL = r"""
import os, runpy, socket
host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].rpartition(":")
with socket.create_connection((host, int(port))) as link:
    link.sendall(b"GET /hearth/cell HTTP/1.1\r\nHost: sandbox\r\n\r\n")
    answer = b"".join(iter(lambda: link.recv(65536), b""))
os.environ.update(item.decode().split("=", 1) for item in answer.partition(b"\r\n\r\n")[2].split(b"\0") if item)
runpy.run_path("/var/task/attacks.py", run_name="__main__")
"""
_ATTACKS = Path(__file__).with_name("sandbox_attacks.py")


async def attacks(supervisor: Supervisor, code: Path) -> Answer:
    """What a function gets when it tries to get out, while another sandbox holds a secret in its /tmp."""
    return await _attacks(supervisor, code, from_cell=False)


async def attacks_from_a_cell(supervisor: Supervisor, code: Path) -> Answer:
    """The same by a function out of a stem cell."""
    return await _attacks(supervisor, code, from_cell=supervisor.mode.namespaces)


async def _attacks(supervisor: Supervisor, code: Path, *, from_cell: bool) -> Answer:
    (code / "attacks.py").write_text(_ATTACKS.read_text())
    other_code = code.with_name("other")
    other_code.mkdir()
    (other_code / "secret.py").write_text("secret = 1")
    private = code.with_name("private")
    private.write_text("worker's own")
    private.chmod(0o600)
    wait = "open('/tmp/other-sandbox-secret', 'w').write('x'); print('ready', flush=True); import time; time.sleep(60)"
    other = await supervisor.spawn(a_spec("other", other_code, wait))
    async with _a_service("127.0.0.1") as loopback, _a_service(host_address()) as address:
        target = {
            "other_code": str(other_code / "secret.py"),
            "private_file": str(private),
            "worker_pid": str(os.getpid()),
            "loopback": loopback,
            "address": address,
        }
        python, mounts = python_in_sandbox()
        environment = {"TARGET": json.dumps(target), "PATH": "/usr/bin", "SECRET_OF_CALLER": "s"}
        spec = SandboxSpec("attacker", (python, "attacks.py"), environment, code, mounts)
        if from_cell:
            boots_with = (("PATH", "/usr/bin"),)
            kind = CellKind((python, "-c", _CELL), boots_with, mounts, spec.memory_mb, spec.ephemeral_mb, spec.egress)
            cell = await boot(supervisor, kind, AWS_LIMITS)
            await cell.furnish(spec, None)
            process = cell.process
        else:
            process = await supervisor.spawn(spec)
        runtime_api = await asyncio.start_server(echo, sock=process.listener.dup())
        if from_cell:
            cell.begin(supervisor.environment(spec))
        text = await asyncio.wait_for(output_of(process), 30)
        seen = Path(f"/proc/{os.getpid()}/cmdline").read_text() + command_lines()
        runtime_api.close()
        await process.stop()
    await other.stop()
    return {**json.loads(text.splitlines()[-1]), "environment_visible_to_host": "SECRET_OF_CALLER" in seen}


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A service that a sandbox must reach, or must not."""
    # Answers at the end of input only: the half-close must have come through.
    writer.write(b"echo " + await reader.read(-1))
    await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def _a_service(host: str) -> Any:
    async with await asyncio.start_server(echo, host, 0) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


def host_address() -> str:
    """An address of this host that is not loopback; loopback's second address where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.2"
