"""CPU time spent by kinds of processes, from /proc/<pid>/stat."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SANDBOX = "sandboxes"
#: a process with this variable is a runtime
_RUNTIME_MARK = b"AWS_LAMBDA_RUNTIME_API="


@dataclass(frozen=True, slots=True)
class _Seen:
    parent: int
    seconds: float


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, dict[int, float]]:
    """Kind -> pid -> CPU seconds (user and system, all its threads) of each root and of its descendants.

    `roots`: kind -> pid. Sandboxes are counted as a kind of their own, whosever descendants they are.
    """
    seen = dict(_processes())
    children: dict[int, list[int]] = defaultdict(list)
    for pid, process in seen.items():
        children[process.parent].append(pid)
    spent: dict[str, dict[int, float]] = defaultdict(dict)
    left = [(kind, pid) for kind, pid in roots.items() if pid in seen]
    while left:
        kind, pid = left.pop()
        if kind != SANDBOX and pid not in roots.values() and _begins_sandbox(pid):
            kind = SANDBOX
        spent[kind][pid] = seen[pid].seconds
        left += [(kind, child) for child in children[pid]]
    return dict(spent)


def spent_between(
    before: Mapping[str, Mapping[int, float]], after: Mapping[str, Mapping[int, float]]
) -> dict[str, float]:
    """Kind -> CPU seconds. Processes that began in between count from zero; those that ended do not count."""
    return {
        kind: sum(seconds - before.get(kind, {}).get(pid, 0.0) for pid, seconds in processes.items())
        for kind, processes in after.items()
    }


def _processes() -> Iterator[tuple[int, _Seen]]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        # The second field, the command in brackets, may hold anything; after it: state, parent, ...
        fields = stat[stat.rindex(b")") + 2 :].split()
        yield int(entry.name), _Seen(int(fields[1]), (int(fields[11]) + int(fields[12])) * _TICK_S)


def _begins_sandbox(pid: int) -> bool:
    """bubblewrap or a runtime; their descendants belong to the same sandbox."""
    try:
        if b"bwrap" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return True
        return _RUNTIME_MARK in Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
