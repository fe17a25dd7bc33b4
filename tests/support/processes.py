"""Looking at processes: whose descendants they are, and whether they are gone."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

#: (pid, start time in clock ticks): a pid alone may come back
Identity = tuple[int, int]


def table() -> dict[int, tuple[int, int]]:
    """pid -> (parent's pid, start time), of every process that is not a zombie."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] not in ("Z", "X"):
                found[int(folder.name)] = (int(fields[1]), int(fields[19]))
    return found


def descendants(pid: int) -> set[Identity]:
    """Everything below `pid`, itself not included."""
    processes = table()
    found: set[Identity] = set()
    parents = {pid}
    while parents:
        level = {child for child, (parent, _) in processes.items() if parent in parents}
        found |= {(child, processes[child][1]) for child in level}
        parents = level
    return found


def children(pid: int) -> list[int]:
    """Its direct children, oldest first."""
    found = [(start, child) for child, (parent, start) in table().items() if parent == pid]
    return [child for _, child in sorted(found)]


def remaining(identities: set[Identity], *, within_s: float = 0.0) -> list[str]:
    """What is still alive of them, after waiting up to `within_s` for all of them to end, each in words."""
    until = time.monotonic() + within_s
    while True:
        processes = table()
        alive = [pid for pid, started in sorted(identities) if processes.get(pid, (0, 0))[1] == started]
        if not alive or time.monotonic() > until:
            return [f"{pid} ({_state_of(pid)}): {command_of(pid)}" for pid in alive]
        time.sleep(0.1)


def _state_of(pid: int) -> str:
    """Its state's letter and the kernel function that it waits in, where that may be read."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return f"{state} in {Path(f'/proc/{pid}/wchan').read_text() or '?'}"
    return "gone"


def command_of(pid: int) -> str:
    """Its command line; empty if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def left_of(data: Path, *, within_s: float = 30.0) -> list[str]:
    """What is still there of `processes_of`, after waiting for all to end: one that was killed may take a moment."""
    until = time.monotonic() + within_s
    while (found := processes_of(data)) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def processes_of(data: Path) -> list[str]:
    """`pid command` of every process of the platform whose data folder this is (it is in their environment)."""
    needle = str(data).encode()
    found = []
    for pid in table():
        with contextlib.suppress(OSError):
            if needle in Path(f"/proc/{pid}/environ").read_bytes() or str(data) in command_of(pid):
                found.append(f"{pid} {command_of(pid)[:200]}")
    return found
