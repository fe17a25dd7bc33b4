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
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hearth.limits import AWS_LIMITS
from workers.host import probe
from workers.sandbox.stem_cell import CellKind, boot
from workers.sandbox.supervisor import (
    Egress,
    EgressPolicy,
    IsolationUnavailable,
    Mount,
    SandboxProcess,
    SandboxSpec,
    SpawnFailed,
    Supervisor,
)

Answer = dict[str, Any]
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
_LOG = logging.getLogger("scenario")


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
        async with asyncio.timeout(20):
            text = await output_of(process)
            return await process.exited, text, process.peak_memory_mb()
    finally:
        await process.stop()


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
        runtime_api = await asyncio.start_server(_echo, sock=process.listener.dup())
        if from_cell:
            cell.begin(supervisor.environment(spec))
        text = await asyncio.wait_for(output_of(process), 30)
        command_lines = Path(f"/proc/{os.getpid()}/cmdline").read_text() + _command_lines()
        runtime_api.close()
        await process.stop()
    await other.stop()
    return {**json.loads(text.splitlines()[-1]), "environment_visible_to_host": "SECRET_OF_CALLER" in command_lines}


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
        result = await asyncio.wait_for(process.exited, 20)
        await process.stop()
        found[name] = [result.status, result.signal, result.oom]
    missing = SandboxSpec("no-command", ("/var/task/absent",), {"PATH": "/usr/bin"}, code)
    result, text, _ = await run(supervisor, missing)
    found["no such command"] = [result.status != 0, "absent" in text]
    found["same id twice"] = await _refusal(supervisor, code)
    found["processes left"] = _descendants_named("python") + _descendants_named("bwrap")
    return found


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
    async with asyncio.timeout(20):
        while not _throttled(supervisor, "spin"):
            await asyncio.sleep(0.02)
    process.set_cpu(None)
    lifted = _throttled(supervisor, "spin")
    await asyncio.sleep(0.5)  # five of the quota's periods
    answers["throttled after the quota was lifted"] = _throttled(supervisor, "spin") - lifted
    await process.stop()
    return answers


async def disk(supervisor: Supervisor, code: Path) -> Answer:
    """/tmp on disk: filled to its end under a smaller memory limit, empty for the next one, gone at the end."""
    fill = (
        "import os\nf = open('/tmp/big', 'wb', buffering=0)\nn = 0\ntry:\n"
        " while True: n += f.write(bytes(1 << 20))\nexcept OSError as e: print(n >> 20, e.errno)"
    )
    look = "import os; print(os.listdir('/tmp'), oct(os.stat('/tmp').st_mode))"
    before = _loop_devices()
    filled = await run(supervisor, a_spec("filler", code, fill, memory_mb=64, ephemeral_mb=200))
    looked = await run(supervisor, a_spec("next", code, look, memory_mb=64, ephemeral_mb=200))
    cramped = await Supervisor.create(want="auto", platform=None, pool=0, log=_LOG, disks=Path("/proc/self/fdinfo"))
    without = await run(cramped, a_spec("without", code, look))
    await cramped.close()
    await supervisor.close()
    async with asyncio.timeout(10):
        while _loop_devices() - before:  # the kernel frees them when the last mount has gone
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
            while not _readable_now(process.output_fd):
                await asyncio.sleep(0.01)
        await process.stop()
        if round_number == 0:
            before = await _settled_holdings(supervisor, None)
    folders = [str(folder) for folder in folders if folder and folder.exists()]
    return {
        "folders left": folders,
        "before": before,
        "after": await _settled_holdings(supervisor, before),
        "spawn_ms_p50": sorted(spawn_s)[25] * 1000,
    }


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
    os.kill(_spawner_pid(), signal.SIGKILL)
    ended = await asyncio.wait_for(alive.exited, 10)
    await alive.stop()
    async with asyncio.timeout(10):
        while Path(f"/proc/{alive.pid}").exists():  # until the host's init has reaped it
            await asyncio.sleep(0.01)
    result, text, _ = await run(supervisor, a_spec("after", code, "print('again')"))
    return {
        "exit of an orphan": ended.signal,
        "after a new spawner": [result.status, text.strip()],
        "sandboxes left": sorted(supervisor._live),
        "stopped": process.exited.done(),
    }


def _mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


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
        while not _readable_now(process.output_fd):
            await asyncio.sleep(0.01)
    processes[0].freeze()  # where the host can: a frozen one must die too
    unheard = await supervisor.spawn(a_spec("unheard", code, "import time; time.sleep(60)"))
    # From here on this program does not read: its spawner gets a reset then, not an end.
    os.kill(unheard.pid, signal.SIGKILL)
    assert supervisor._client is not None
    select.select([supervisor._client._channel], [], [], 10)
    pids = _descendants(os.getpid())
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


# --- what is counted ------------------------------------------------------------------------------------------


async def _settled_holdings(supervisor: Supervisor, expected: Answer | None) -> Answer:
    """Stocks are filled in quiet moments, and links vanish a moment after their namespaces."""
    found = _holdings(supervisor)
    for _ in range(50):
        await asyncio.sleep(0.1)
        last, found = found, _holdings(supervisor)
        if found == (last if expected is None else expected):
            break
    return found


def _holdings(supervisor: Supervisor) -> Answer:
    spawner = _spawner_pid()
    return {
        "processes": len(_descendants(os.getpid())),
        "files of the worker": len(os.listdir("/proc/self/fd")),
        "files of the spawner": len(os.listdir(f"/proc/{spawner}/fd")) if os.access(f"/proc/{spawner}/fd", 4) else 0,
        "cgroups": sum(
            1 for _, parent in supervisor._tree._parents.values() for child in parent.iterdir() if child.is_dir()
        ),
        "links of the router": len(Path(f"/proc/{spawner}/net/dev").read_text().splitlines()),
        "loop devices": len(_loop_devices()),
        "mounts of the spawner": _own_mounts(spawner),
        "asyncio tasks": len(asyncio.all_tasks()),
    }


def _throttled(supervisor: Supervisor, sandbox_id: str) -> int:
    """How often the kernel has held the sandbox back for its CPU quota."""
    _, parent = supervisor._tree._parents["cpu"]
    pairs = [line.split() for line in (parent / sandbox_id / "cpu.stat").read_text().splitlines()]
    return int(dict(pairs)["nr_throttled"])


def _loop_devices() -> set[str]:
    """Those that hold a file of a worker below this test's folder."""
    found = set()
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if tempfile.gettempdir() in file.read_text():
                found.add(str(file))
    return found


def _own_mounts(spawner: int) -> int:
    """Those in this test's folder and those that only the spawner sees: others on the host mount and unmount too."""
    points = _mount_points(spawner)
    foreign = {point for point in _mount_points("self") if not point.startswith(tempfile.gettempdir())}
    return sum(point not in foreign for point in points)


def _mount_points(pid: int | str) -> list[str]:
    return [line.split()[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]


def _descendants(of: int) -> list[int]:
    found: list[int] = []
    pending = [of]
    while pending:
        pid = pending.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                below = [int(word) for word in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
                found += below
                pending += below
    return found


def _names() -> list[tuple[int, str]]:
    found = []
    for pid in _descendants(os.getpid()):
        with contextlib.suppress(OSError):
            found.append((pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")))
    return found


def _command_lines() -> str:
    return "\n".join(name for _, name in _names())


def _spawner_pid() -> int:
    return next(pid for pid, name in _names() if "isolation.spawner" in name)


def _descendants_named(word: str) -> list[str]:
    return [name for _, name in _names() if word in name and "isolation.spawner" not in name]


def _readable_now(descriptor: int) -> bool:
    try:
        return bool(os.read(descriptor, 1000))
    except BlockingIOError:
        return False


async def _refusal(supervisor: Supervisor, code: Path) -> str:
    process = await supervisor.spawn(a_spec("twice", code, "import time; time.sleep(60)"))
    try:
        await supervisor.spawn(a_spec("twice", code, ""))
    except SpawnFailed as exc:
        return str(exc)
    finally:
        await process.stop()
    return "accepted"


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Answers at the end of input only: the half-close must have come through.
    writer.write(b"echo " + await reader.read(-1))
    await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def _a_service(host: str) -> Any:
    async with await asyncio.start_server(_echo, host, 0) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


def host_address() -> str:
    """An address of this host that is not loopback; loopback's second address where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.2"


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
        async with await asyncio.start_server(_echo, "127.0.0.1", 0) as platform:
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
            answer |= {"left after close": [*left, *_descendants_named("")]}
            return {"level": supervisor.level, "missing": supervisor.missing, **answer}


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))), flush=True)
