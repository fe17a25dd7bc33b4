"""Where a worker may make cgroups: version 1, version 2 delegated to it, or the hybrid of both.

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
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox.isolation.cgroup import Cgroup, Limits, kill_group, removed, v2_weight, words, write

CONTROLLERS = ("memory", "cpu", "pids")
#: v1 only, and no limit: without it idle sandboxes are not frozen. In v2 every group has its own switch.
FREEZER = "freezer"
_NOT_OFFERED = "no cgroup hierarchy mounted here has this controller"
#: v2 forbids processes in a group that hands controllers to children: ours move to this leaf.
_PROCESSES_LEAF = "processes"
#: marks of the parent groups that this process has made
_MARKS: set[str] = set()


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


#: What all sandboxes together weigh against the processes beside their groups, of which each weighs 1024: without it
#: any number of functions would share what one process gets, as soon as the host is busy.
_SANDBOXES_WEIGHT = 4096 * (os.cpu_count() or 1)


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
            offered = [c for c in (*CONTROLLERS, FREEZER) if c in hierarchy.controllers]
            if hierarchy.version == 2:
                names = words(hierarchy.group / "cgroup.controllers")
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
                for controller in missing.keys() & offered:
                    missing[controller] = f"{hierarchy.group} is not delegated to this user ({exc.strerror})"
                continue
            for controller in offered:
                parents[controller] = (hierarchy.version, parent)
                missing.pop(controller, None)
        return cls(parents, missing)

    def make(self, sandbox_id: str, limits: Limits) -> Cgroup:
        """Raises OSError."""
        for version, parent in set(self._parents.values()):
            # An operator, or a cleaner of empty groups, may have removed it; a new one hands nothing down by itself.
            if version == 2 and not parent.is_dir():
                parent.mkdir(parents=True)
                _hand_down(parent, [name for name, at in self._parents.items() if at == (2, parent)])
        at = {name: (version, parent / sandbox_id) for name, (version, parent) in self._parents.items()}
        return Cgroup(at, limits)

    @property
    def freezer(self) -> Path | None:
        """The v1 freezer's parent group: what it holds must be thawed to die."""
        at = self._parents.get(FREEZER)
        return None if at is None else at[1]

    def close(self) -> None:
        """Remove this worker's groups, and `hearth` itself where no other worker uses it."""
        for parent in {parent for _, parent in self._parents.values()}:
            remove_tree(parent)
            with contextlib.suppress(OSError):
                parent.parent.rmdir()


def remove_tree(parent: Path) -> None:
    """Kill what is left in a worker's group and its sandboxes' groups, and remove them."""
    children = [child for child in _listed(parent) if child.is_dir()]
    for child in children:
        kill_group(child)
    give_up_at = time.monotonic() + 1.0
    pending = [*children, parent]
    while pending := [directory for directory in pending if not removed(directory)]:
        if time.monotonic() > give_up_at:
            return
        time.sleep(0.005)  # a killed process leaves its group a moment after its end


def _v1_parent(group: Path, worker_pid: int, controllers: Iterable[str]) -> Path:
    parent = _make_parent(group / "hearth", worker_pid)
    if "cpu" in controllers:
        for directory in (parent.parent, parent):
            write(directory / "cpu.shares", str(_SANDBOXES_WEIGHT))
    return parent


def _v2_parent(group: Path, worker_pid: int, controllers: Iterable[str]) -> Path:
    """Like v1, but every group on the way must hand the controllers down, and then may hold no process."""
    if group.name == _PROCESSES_LEAF and group.parent.name == "hearth":
        group = group.parent.parent
    home = group / "hearth"
    leaf = home / _PROCESSES_LEAF
    leaf.mkdir(parents=True, exist_ok=True)
    enable = " ".join(f"+{controller}" for controller in controllers)
    for _ in range(10):  # others may start while we move those that are there
        try:
            write(group / "cgroup.subtree_control", enable)
            break
        except OSError as exc:  # the root group alone may hold processes beside groups
            if exc.errno != errno.EBUSY:
                raise
        for pid in words(group / "cgroup.procs"):
            with contextlib.suppress(ProcessLookupError):
                write(leaf / "cgroup.procs", pid)
    else:
        raise OSError(errno.EBUSY, "processes keep appearing in it")
    parent = _make_parent(home, worker_pid)
    _hand_down(parent, controllers)
    if "cpu" in controllers:
        for directory in (home, parent):
            write(directory / "cpu.weight", str(v2_weight(_SANDBOXES_WEIGHT)))
    return parent


def _hand_down(parent: Path, controllers: Iterable[str]) -> None:
    """To the groups of sandboxes below it, through the one above it."""
    enable = " ".join(f"+{controller}" for controller in controllers)
    for directory in (parent.parent, parent):
        write(directory / "cgroup.subtree_control", enable)


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
    parent.mkdir(parents=True)  # a worker that ends removes `hearth` if it finds it empty
    return parent


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []
