"""Memory, CPU and pids limits of sandboxes through cgroups, version 1, 2 or the hybrid of both.

Each worker has one parent group `hearth/<worker pid>-<random>` below its own group in every hierarchy it may
write to, and in it one group per sandbox. Everything is removed again; what a killed worker left is removed by
the next one.
Source: the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "pids")
_CPU_PERIOD_US = 100_000
_NOT_OFFERED = "no cgroup hierarchy mounted here has this controller"
#: v2 forbids processes in a group that hands controllers to children: ours move to this leaf.
_PROCESSES_LEAF = "processes"
#: marks of the parent groups that this process has made
_MARKS: set[str] = set()


@dataclass(frozen=True, slots=True)
class Limits:
    memory_mb: int
    cpu_cores: float | None
    cpu_weight: int
    pids_max: int


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where this process may stand in one hierarchy. group: its own group, as a directory."""

    version: int
    controllers: frozenset[str]
    group: Path


def hierarchies(cgroup_text: str, mountinfo_text: str) -> list[Hierarchy]:
    """From /proc/self/cgroup and /proc/self/mountinfo. Hierarchies that are not mounted here are left out."""
    mounts: dict[frozenset[str], tuple[str, str]] = {}
    for line in mountinfo_text.splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if not after or after[0] not in ("cgroup", "cgroup2"):
            continue
        options = after[2].split(",") if after[0] == "cgroup" else []
        mounts.setdefault(frozenset(options) - {"rw", "ro"}, (before[3], before[4]))
    found = []
    for line in cgroup_text.splitlines():
        number, names, path = line.split(":", 2)
        controllers = frozenset(name for name in names.split(",") if name)
        for offered, (root, point) in mounts.items():
            if (number == "0" and not offered) or (controllers and controllers <= offered):
                # In a container the mount shows a subtree only; with a cgroup namespace both are already "/".
                below = os.path.relpath(path, root) if path.startswith(root) else path.lstrip("/")
                found.append(Hierarchy(2 if number == "0" else 1, controllers, Path(point) / below))
                break
    return found


class Cgroup:
    """The groups of one sandbox; the files are the worker's to write, so limits can change while it runs."""

    def __init__(self, directories: Mapping[str, tuple[int, Path]], limits: Limits) -> None:
        #: controller -> (version, directory); in v2 the directory is the same for all
        self._at = directories
        for directory in self.directories:
            directory.mkdir()
        self._limit(limits)

    @property
    def directories(self) -> list[Path]:
        return list(dict.fromkeys(directory for _, directory in self._at.values()))

    @property
    def unified(self) -> Path | None:
        """The v2 directory, for a child that is to be born in it."""
        return next((directory for version, directory in self._at.values() if version == 2), None)

    @property
    def tasks_files(self) -> list[Path]:
        """v1 only: a thread that writes 0 here itself skips a global lock (0.1 ms against 8)."""
        return list(dict.fromkeys(d / "tasks" for version, d in self._at.values() if version == 1))

    def _limit(self, limits: Limits) -> None:
        size = str(limits.memory_mb << 20)
        match self._at.get("memory"):
            case (1, directory):
                _write(directory / "memory.limit_in_bytes", size)
                # No swap: absent where the kernel does not account for it.
                _write_if_there(directory / "memory.memsw.limit_in_bytes", size)
            case (2, directory):
                _write(directory / "memory.max", size)
                _write_if_there(directory / "memory.swap.max", "0")
                _write_if_there(directory / "memory.oom.group", "1")
        match self._at.get("cpu"):
            case (1, directory):
                _write(directory / "cpu.shares", str(max(2, limits.cpu_weight)))
            case (2, directory):
                _write(directory / "cpu.weight", str(v2_weight(limits.cpu_weight)))
        self.set_cpu(limits.cpu_cores)
        if "pids" in self._at:
            # bwrap's own two processes are not the function's.
            _write(self._at["pids"][1] / "pids.max", str(limits.pids_max + 2))

    def set_cpu(self, cores: float | None) -> None:
        quota = None if cores is None else max(1000, int(cores * _CPU_PERIOD_US))
        match self._at.get("cpu"):
            case (1, directory):
                _write_if_there(directory / "cpu.cfs_quota_us", str(-1 if quota is None else quota))
            case (2, directory):
                _write(directory / "cpu.max", f"{'max' if quota is None else quota} {_CPU_PERIOD_US}")

    def peak_memory_mb(self) -> int:
        """Most memory held so far, /tmp and page cache included; 0 where the kernel does not say."""
        match self._at.get("memory"):
            case (1, directory):
                file = directory / "memory.max_usage_in_bytes"
            case (2, directory):
                file = directory / "memory.peak"  # since Linux 5.19
            case _:
                return 0
        try:
            return -(-int(file.read_text()) >> 20)
        except (OSError, ValueError):
            return 0

    def oom_kills(self) -> int:
        """Processes of this group that the kernel killed for its memory limit."""
        match self._at.get("memory"):
            case (1, directory):
                file = directory / "memory.oom_control"
            case (2, directory):
                file = directory / "memory.events"
            case _:
                return 0
        with contextlib.suppress(OSError):
            for line in file.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def kill(self) -> None:
        """SIGKILL to every process in it: for level `process`, and whatever outlived its sandbox."""
        for directory in self.directories:
            kill_group(directory)

    def remove(self) -> bool:
        """True when all directories are gone; False while a process still ends in one."""
        return all([_removed(directory) for directory in self.directories])


class CgroupTree:
    """The parent groups of one worker's sandboxes. `missing`: controller -> why it can't be limited here."""

    def __init__(self, parents: Mapping[str, tuple[int, Path]], missing: Mapping[str, str]) -> None:
        self._parents = parents
        self.missing = missing

    @classmethod
    def open(cls, worker_pid: int) -> CgroupTree:
        """Make the parent groups wherever this process may; never raises for what the host refuses."""
        parents: dict[str, tuple[int, Path]] = {}
        missing = dict.fromkeys(CONTROLLERS, _NOT_OFFERED)
        found = hierarchies(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
        for hierarchy in found:
            offered = [c for c in CONTROLLERS if c in hierarchy.controllers]
            if hierarchy.version == 2:
                names = _words(hierarchy.group / "cgroup.controllers")
                offered = [c for c in CONTROLLERS if c in names]
                for controller in CONTROLLERS:
                    if controller not in names and missing.get(controller) == _NOT_OFFERED:
                        missing[controller] = f"{hierarchy.group} is not given this controller"
            if not offered:
                continue
            try:
                prepare = _v2_parent if hierarchy.version == 2 else _v1_parent
                parent = prepare(hierarchy.group, worker_pid, offered)
            except OSError as exc:
                for controller in offered:
                    missing[controller] = f"{hierarchy.group} is not delegated to this user ({exc.strerror})"
                continue
            for controller in offered:
                parents[controller] = (hierarchy.version, parent)
                del missing[controller]
        return cls(parents, missing)

    def make(self, sandbox_id: str, limits: Limits) -> Cgroup:
        at = {name: (version, parent / sandbox_id) for name, (version, parent) in self._parents.items()}
        return Cgroup(at, limits)

    def close(self) -> None:
        """Remove this worker's groups, and `hearth` itself where no other worker uses it."""
        for parent in {parent for _, parent in self._parents.values()}:
            remove_tree(parent)
            with contextlib.suppress(OSError):
                parent.parent.rmdir()


def v2_weight(shares: int) -> int:
    """cpu.shares (2-262144) as cpu.weight (1-10000), the conversion that container runtimes use."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def kill_group(directory: Path) -> None:
    for pid in _words(directory / "cgroup.procs"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), signal.SIGKILL)


def remove_tree(parent: Path) -> None:
    """Kill what is left in a worker's group and its sandboxes' groups, and remove them."""
    children = [child for child in _listed(parent) if child.is_dir()]
    for child in children:
        kill_group(child)
    give_up_at = time.monotonic() + 1.0
    pending = [*children, parent]
    while pending := [directory for directory in pending if not _removed(directory)]:
        if time.monotonic() > give_up_at:
            return
        time.sleep(0.005)  # a killed process leaves its group a moment after its end


def _v1_parent(group: Path, worker_pid: int, _controllers: Iterable[str]) -> Path:
    return _make_parent(group / "hearth", worker_pid)


def _v2_parent(group: Path, worker_pid: int, controllers: Iterable[str]) -> Path:
    """Like v1, but every group on the way must hand the controllers down, and then may hold no process."""
    if group.name == _PROCESSES_LEAF and group.parent.name == "hearth":
        group = group.parent.parent
    home = group / "hearth"
    leaf = home / _PROCESSES_LEAF
    leaf.mkdir(parents=True, exist_ok=True)
    enable = " ".join(f"+{controller}" for controller in controllers)
    for _ in range(10):  # others may start while we move those that are there
        for pid in _words(group / "cgroup.procs"):
            with contextlib.suppress(ProcessLookupError):
                _write(leaf / "cgroup.procs", pid)
        try:
            _write(group / "cgroup.subtree_control", enable)
            break
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise
    else:
        raise OSError(errno.EBUSY, "processes keep appearing in it")
    _write(home / "cgroup.subtree_control", enable)
    parent = _make_parent(home, worker_pid)
    _write(parent / "cgroup.subtree_control", enable)
    return parent


def _make_parent(home: Path, worker_pid: int) -> Path:
    home.mkdir(exist_ok=True)
    for other in _listed(home):
        pid, _, mark = other.name.partition("-")
        # Our own pid with a mark that this process did not make: a dead worker's, whose number came back.
        left = mark not in _MARKS if pid == str(worker_pid) else not Path("/proc", pid).exists()
        if pid.isdigit() and mark and left:
            remove_tree(other)
    mark = secrets.token_hex(4)
    _MARKS.add(mark)
    parent = home / f"{worker_pid}-{mark}"
    parent.mkdir()
    return parent


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError as exc:
        if exc.errno != errno.EBUSY:
            raise
        return False
    return True


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _write(file: Path, value: str) -> None:
    # No O_CREAT: on cgroupfs it changes nothing, elsewhere a missing file must be an error.
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _write_if_there(file: Path, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        _write(file, value)
