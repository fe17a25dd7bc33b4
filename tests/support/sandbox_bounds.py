# ruff: noqa: ASYNC110 (parts of a test program: polling and small reads are fine in it)
"""Scenarios of what bounds a sandbox, and of what fifty of them leave behind."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

from tests.support.sandbox_runs import a_spec, readable_now, run
from tests.support.sandbox_traces import Answer, loop_devices, settled_holdings, throttled
from workers.sandbox.supervisor import Egress, Supervisor

_LOG = logging.getLogger("scenario")


async def limits(supervisor: Supervisor, code: Path) -> Answer:
    """Memory, processes, /tmp and CPU quota, each run into."""
    hog = "b = []\nwhile True: b.append(bytearray(b'x' * (1 << 20)))"
    child_hog = f"import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', {hog!r}]).returncode)"
    bomb = (
        "import os, time\nn = 0\ntry:\n for n in range(200):\n  if os.fork() == 0: time.sleep(60)\n"
        "except BlockingIOError: print(n, flush=True)\nos._exit(0)"
    )
    fill = (
        "import os\nf = open('/tmp/big', 'wb', buffering=0)\nn = 0\ntry:\n"
        " while True: n += f.write(bytes(1 << 20))\nexcept OSError as e: print(n >> 20, e.errno)"
    )
    spin = "print('up', flush=True)\nwhile True: pass"
    answers: Answer = {}
    hogged = await run(supervisor, a_spec("hog", code, hog, memory_mb=64))
    answers["hog"] = [hogged[0].signal, hogged[0].oom, hogged[2]]
    child = await run(supervisor, a_spec("child-hog", code, child_hog, memory_mb=64))
    answers["child hog"] = [child[0].status, child[0].oom, child[1].strip()]
    answers["bomb"] = int((await run(supervisor, a_spec("bomb", code, bomb, pids_max=30)))[1])
    if supervisor.level != "process":  # there /tmp is the host's
        answers["fill"] = (await run(supervisor, a_spec("fill", code, fill, ephemeral_mb=8)))[1].split()
    for parent in {parent for _, parent in supervisor._tree._parents.values()}:
        parent.rmdir()  # as a cleaner of empty groups might
    process = await supervisor.spawn(a_spec("spin", code, spin, cpu_cores=0.2))
    async with asyncio.timeout(60):
        while not throttled(supervisor, "spin"):
            await asyncio.sleep(0.02)
    process.set_cpu(None)
    lifted = throttled(supervisor, "spin")
    await asyncio.sleep(0.5)  # five of the quota's periods
    answers["throttled after the quota was lifted"] = throttled(supervisor, "spin") - lifted
    await process.stop()
    return answers


async def disk(supervisor: Supervisor, code: Path) -> Answer:
    """/tmp on disk: filled to its end under a smaller memory limit, empty for the next one, gone at the end."""
    fill = (
        "import os\nf = open('/tmp/big', 'wb', buffering=0)\nn = 0\ntry:\n"
        " while True: n += f.write(bytes(1 << 20))\nexcept OSError as e: print(n >> 20, e.errno)"
    )
    look = "import os; print(os.listdir('/tmp'), oct(os.stat('/tmp').st_mode))"
    before = loop_devices()
    filled = await run(supervisor, a_spec("filler", code, fill, memory_mb=64, ephemeral_mb=200))
    looked = await run(supervisor, a_spec("next", code, look, memory_mb=64, ephemeral_mb=200))
    cramped = await Supervisor.create(want="auto", platform=None, pool=0, log=_LOG, disks=Path("/proc/self/fdinfo"))
    without = await run(cramped, a_spec("without", code, look))
    await cramped.close()
    await supervisor.close()
    async with asyncio.timeout(60):
        while loop_devices() - before:  # the kernel frees them when the last mount has gone
            await asyncio.sleep(0.02)
    return {
        "no_disk": supervisor.no_disk,
        "filled": [*filled[1].split(), filled[0].status, filled[0].oom],
        "next": looked[1].strip(),
        "where there is no room": [cramped.no_disk, without[1].strip()],
    }


async def leaks(supervisor: Supervisor, code: Path) -> Answer:
    """What is left after 50 spawns and stops, counted before and after."""
    script = (
        "import subprocess, time; subprocess.Popen(['/usr/bin/sleep', '60']); print('up', flush=True); time.sleep(60)"
    )
    before = None
    spawn_s: list[float] = []
    folders: list[Any] = []
    for round_number in range(51):
        started = time.perf_counter()
        process = await supervisor.spawn(a_spec(f"round-{round_number}", code, script, egress=Egress.OPEN))
        spawn_s.append(time.perf_counter() - started)
        folders.append(process.parts.temporary_dir)
        if round_number % 10 == 0:  # ten of them with the whole tree up
            while not readable_now(process.output_fd):
                await asyncio.sleep(0.01)
        await process.stop()
        if round_number == 0:
            before = await settled_holdings(supervisor, None)
    folders = [str(folder) for folder in folders if folder and folder.exists()]
    return {
        "folders left": folders,
        "before": before,
        "after": await settled_holdings(supervisor, before),
        "spawn_ms_p50": sorted(spawn_s)[25] * 1000,
    }
