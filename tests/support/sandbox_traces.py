"""What sandboxes leave on the host while they run and afterwards, counted from the process whose supervisor it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from workers.sandbox.supervisor import Supervisor

Answer = dict[str, Any]
#: only what stays for ever takes longer
_SETTLED_S = 60.0
#: tenths of a second; a stock that is not full is filled sooner
_QUIET_LOOKS = 6


async def settled_holdings(supervisor: Supervisor, expected: Answer | None) -> Answer:
    """Stocks are filled in quiet moments, and links vanish a moment after their namespaces.

    expected: at most so much is waited for; None: until nothing has changed for a while.
    """
    found, same, until = _holdings(supervisor), 0, time.monotonic() + _SETTLED_S
    while time.monotonic() < until:
        await asyncio.sleep(0.1)
        last, found = found, _holdings(supervisor)
        same = same + 1 if found == last else 0
        if same >= _QUIET_LOOKS if expected is None else all(found[name] <= expected[name] for name in found):
            break
    return found


def _holdings(supervisor: Supervisor) -> Answer:
    spawner = spawner_pid()
    return {
        "processes": len(descendants(os.getpid())),
        "files of the worker": len(os.listdir("/proc/self/fd")),
        "files of the spawner": len(os.listdir(f"/proc/{spawner}/fd")) if os.access(f"/proc/{spawner}/fd", 4) else 0,
        "cgroups": sum(
            1 for _, parent in supervisor._tree._parents.values() for child in parent.iterdir() if child.is_dir()
        ),
        "links of the router": len(Path(f"/proc/{spawner}/net/dev").read_text().splitlines()),
        "loop devices": len(loop_devices()),
        "mounts of the spawner": _own_mounts(spawner),
        "asyncio tasks": len(asyncio.all_tasks()),
    }


def throttled(supervisor: Supervisor, sandbox_id: str) -> int:
    """How often the kernel has held the sandbox back for its CPU quota."""
    _, parent = supervisor._tree._parents["cpu"]
    pairs = [line.split() for line in (parent / sandbox_id / "cpu.stat").read_text().splitlines()]
    return int(dict(pairs)["nr_throttled"])


def loop_devices() -> set[str]:
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


def descendants(of: int) -> list[int]:
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


def names() -> list[tuple[int, str]]:
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            found.append((pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")))
    return found


def command_lines() -> str:
    return "\n".join(name for _, name in names())


def spawner_pid() -> int:
    return next(pid for pid, name in names() if "isolation.spawner" in name)


def descendants_named(word: str) -> list[str]:
    return [name for _, name in names() if word in name and "isolation.spawner" not in name]
