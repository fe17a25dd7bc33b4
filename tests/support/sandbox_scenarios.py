# ruff: noqa: ASYNC110, ASYNC240, ASYNC251 (a test program: polling, small reads and stopping the loop are fine in it)
"""Scenarios around a real Supervisor, run as a program so that they can run as any user of this machine.

    python -m tests.support.sandbox_scenarios SCENARIO WANT -> one JSON object on standard output

Every answer carries `level` and `missing`; the rest is the scenario's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.sandbox_bounds import disk, leaks, limits
from tests.support.sandbox_break_outs import attacks, attacks_from_a_cell, echo
from tests.support.sandbox_runs import a_spec, readable_now, run
from tests.support.sandbox_traces import Answer, descendants, descendants_named, spawner_pid
from workers.host import probe
from workers.sandbox.supervisor import EgressPolicy, IsolationUnavailable, SandboxSpec, SpawnFailed, Supervisor

_LOG = logging.getLogger("scenario")


async def endings(supervisor: Supervisor, code: Path) -> Answer:
    """How each way of ending is reported."""
    scripts = {
        "returned": "print('hello')",
        "status 3": "import os; os._exit(3)",
        "signal": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "daemon left behind": "import os, time\nif os.fork() == 0:\n os.setsid()\n time.sleep(60)\nos._exit(0)",
    }
    found: Answer = {}
    for name, script in scripts.items():
        process = await supervisor.spawn(a_spec(name.replace(" ", "-"), code, script))
        result = await asyncio.wait_for(process.exited, 60)
        await process.stop()
        found[name] = [result.status, result.signal, result.oom]
    missing = SandboxSpec("no-command", ("/var/task/absent",), {"PATH": "/usr/bin"}, code)
    result, text, _ = await run(supervisor, missing)
    found["no such command"] = [result.status != 0, "absent" in text]
    found["same id twice"] = await _refusal(supervisor, code)
    found["processes left"] = descendants_named("python") + descendants_named("bwrap")
    return found


async def cancellation(supervisor: Supervisor, code: Path) -> Answer:
    """Callers that are cancelled in spawn and in stop; a second stop; a spawner that dies."""
    sleeper = "import time; time.sleep(60)"
    for delay_s in (0, 0.001, 0.004):
        task = asyncio.create_task(supervisor.spawn(a_spec(f"cancelled-{delay_s}", code, sleeper)))
        await asyncio.sleep(delay_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await task).stop()
    # The last one's end may still be under way: the next start under its id waits for it.
    process = await supervisor.spawn(a_spec(f"cancelled-{delay_s}", code, sleeper))
    stopping = asyncio.create_task(process.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await process.stop()
    await process.stop()
    alive = await supervisor.spawn(a_spec("orphan", code, sleeper))
    os.kill(spawner_pid(), signal.SIGKILL)
    ended = await asyncio.wait_for(alive.exited, 60)
    await alive.stop()
    async with asyncio.timeout(60):
        while Path(f"/proc/{alive.pid}").exists():  # until the host's init has reaped it
            await asyncio.sleep(0.01)
    result, text, _ = await run(supervisor, a_spec("after", code, "print('again')"))
    return {
        "exit of an orphan": ended.signal,
        "after a new spawner": [result.status, text.strip()],
        "sandboxes left": sorted(supervisor._live),
        "stopped": process.exited.done(),
    }


async def staging(supervisor: Supervisor, code: Path) -> Answer:
    """Code below a folder that only the worker may enter."""
    before = set(_mounts())
    closed = code.with_name("closed")
    inside = closed / "code"
    inside.mkdir(parents=True)
    (inside / "handler.py").write_text("print('found')")
    closed.chmod(0o700)
    script = "exec(open('/var/task/handler.py').read())"
    first = (await run(supervisor, a_spec("closed-1", inside, script)))[1].strip()
    inside.rename(closed / "old")
    inside.mkdir()
    (inside / "handler.py").write_text("print('replaced')")
    second = (await run(supervisor, a_spec("closed-2", inside, script)))[1].strip()
    inside.chmod(0o700)
    try:
        third = (await run(supervisor, a_spec("closed-3", inside, script)))[1].strip()
    except SpawnFailed as exc:
        third = str(exc)
    visible = any("hearth" in line for line in set(_mounts()) - before)
    return {"answers": [first, second], "unreadable": third, "mounts on the host": visible}


async def abandoned(supervisor: Supervisor, code: Path) -> Answer:
    """Says which processes it started, then waits to be killed, deaf to what its spawner has to say meanwhile."""
    script = (
        "import subprocess, time; subprocess.Popen(['/usr/bin/sleep', '60']); print('up', flush=True); time.sleep(60)"
    )
    processes = [await supervisor.spawn(a_spec(f"left-{n}", code, script)) for n in range(3)]
    for process in processes:
        while not readable_now(process.output_fd):
            await asyncio.sleep(0.01)
    processes[0].freeze()  # where the host can: a frozen one must die too
    unheard = await supervisor.spawn(a_spec("unheard", code, "import time; time.sleep(60)"))
    # From here on this program does not read: its spawner gets a reset then, not an end.
    os.kill(unheard.pid, signal.SIGKILL)
    assert supervisor._client is not None
    select.select([supervisor._client._channel], [], [], 10)
    pids = descendants(os.getpid())
    print(json.dumps({"level": supervisor.level, "missing": supervisor.missing, "pids": pids}), flush=True)
    time.sleep(120)
    return {}


async def findings(supervisor: Supervisor, code: Path) -> Answer:
    """What `hearth doctor` would say, asked while a sandbox of this very process runs."""
    process = await supervisor.spawn(a_spec("bystander", code, "import time; time.sleep(60)"))
    auto, full = (SimpleNamespace(isolation=want, egress="open", data=code) for want in ("auto", "full"))
    found = await asyncio.to_thread(probe, auto)  # type: ignore[arg-type]
    demanding = await asyncio.to_thread(probe, full)  # type: ignore[arg-type]
    undisturbed = not process.exited.done()
    await process.stop()
    return {
        "findings": {finding.name: asdict(finding) for finding in found},
        "level when full is demanded": demanding[-1].status,
        "bystander undisturbed": undisturbed,
    }


async def level(_supervisor: Supervisor, _code: Path) -> Answer:
    return {}


def _mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


async def _refusal(supervisor: Supervisor, code: Path) -> str:
    process = await supervisor.spawn(a_spec("twice", code, "import time; time.sleep(60)"))
    try:
        await supervisor.spawn(a_spec("twice", code, ""))
    except SpawnFailed as exc:
        return str(exc)
    finally:
        await process.stop()
    return "accepted"


_SCENARIOS: dict[str, Callable[[Supervisor, Path], Awaitable[Answer]]] = {
    f.__name__: f
    for f in (
        attacks,
        attacks_from_a_cell,
        endings,
        limits,
        disk,
        leaks,
        cancellation,
        staging,
        abandoned,
        findings,
        level,
    )
}


async def main(name: str, want: Any) -> Answer:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        code = Path(scratch, "code")
        code.mkdir(mode=0o755)
        disks = Path(scratch, "disks")
        disks.mkdir()
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as platform:
            host, port = platform.sockets[0].getsockname()
            try:
                supervisor = await Supervisor.create(
                    want=want, platform=(host, port), pool=2, log=_LOG, egress=EgressPolicy(), disks=disks
                )
            except IsolationUnavailable as exc:
                return {"level": None, "missing": exc.reasons, "message": exc.message}
            try:
                answer = await _SCENARIOS[name](supervisor, code)
            finally:
                await supervisor.close()
            left = [str(parent) for _, parent in supervisor._tree._parents.values() if parent.exists()]
            answer |= {"left after close": [*left, *descendants_named("")]}
            return {"level": supervisor.level, "missing": supervisor.missing, **answer}


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))), flush=True)
