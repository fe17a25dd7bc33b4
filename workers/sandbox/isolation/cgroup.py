"""The limits of one sandbox through cgroups, version 1 or 2: memory, CPU, pids; and its freezer.

Source: the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CPU_PERIOD_US = 100_000
V1_FREEZER = "freezer.state"


@dataclass(frozen=True, slots=True)
class Limits:
    memory_mb: int
    cpu_cores: float | None
    cpu_weight: int
    pids_max: int


class Cgroup:
    """The groups of one sandbox; the files are the worker's to write, so limits can change while it runs."""

    def __init__(self, directories: Mapping[str, tuple[int, Path]], limits: Limits) -> None:
        #: controller -> (version, directory); in v2 the directory is the same for all
        self._at = directories
        self._limits: Limits | None = None
        #: as it was set last: the kernel's own is none
        self._cores: float | None = None
        try:
            for directory in self.directories:
                # The parents too: an operator, or a cleaner of empty groups, may have removed them.
                directory.mkdir(parents=True)
            self.limit(limits)
        except OSError:
            self.remove()
            raise

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

    def limit(self, limits: Limits) -> None:
        """From now on, whatever they were. Raises OSError."""
        was, self._limits = self._limits, limits
        if was is None or limits.memory_mb != was.memory_mb:
            self._limit_memory(limits.memory_mb, raised=was is not None and limits.memory_mb > was.memory_mb)
        if was is None or limits.cpu_weight != was.cpu_weight:
            match self._at.get("cpu"):
                case (1, directory):
                    write(directory / "cpu.shares", str(max(2, limits.cpu_weight)))
                case (2, directory):
                    write(directory / "cpu.weight", str(v2_weight(limits.cpu_weight)))
        self.set_cpu(limits.cpu_cores)
        if "pids" in self._at and (was is None or limits.pids_max != was.pids_max):
            # bwrap's own two processes are not the function's.
            write(self._at["pids"][1] / "pids.max", str(limits.pids_max + 2))

    def _limit_memory(self, memory_mb: int, *, raised: bool) -> None:
        size = str(memory_mb << 20)
        match self._at.get("memory"):
            case (1, directory):
                # No swap: absent where the kernel does not account for it. It may never be the lower one of the two.
                if raised:
                    write_if_there(directory / "memory.memsw.limit_in_bytes", size)
                write(directory / "memory.limit_in_bytes", size)
                if not raised:
                    write_if_there(directory / "memory.memsw.limit_in_bytes", size)
            case (2, directory):
                write(directory / "memory.max", size)
                write_if_there(directory / "memory.swap.max", "0")

    def set_cpu(self, cores: float | None) -> None:
        if cores == self._cores:
            return
        self._cores = cores
        quota = None if cores is None else max(1000, int(cores * _CPU_PERIOD_US))
        match self._at.get("cpu"):
            case (1, directory):
                write_if_there(directory / "cpu.cfs_quota_us", str(-1 if quota is None else quota))
            case (2, directory):
                write(directory / "cpu.max", f"{'max' if quota is None else quota} {_CPU_PERIOD_US}")

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

    @property
    def can_freeze(self) -> bool:
        return self._at.get("freezer") is not None or self.unified is not None

    def freeze(self) -> None:
        """Stop every process in it until `thaw`; returns before the last one stands. Raises OSError."""
        if "freezer" in self._at:
            write(self._at["freezer"][1] / V1_FREEZER, "FROZEN")
        elif self.unified is not None:
            write(self.unified / "cgroup.freeze", "1")

    def thaw(self) -> None:
        """Let them run on. A v1 group must be thawed for a SIGKILL to arrive."""
        if "freezer" in self._at:
            write_if_there(self._at["freezer"][1] / V1_FREEZER, "THAWED")
        elif self.unified is not None:
            write_if_there(self.unified / "cgroup.freeze", "0")

    def kill(self) -> None:
        """SIGKILL to every process in it: for level `process`, and whatever outlived its sandbox."""
        for directory in self.directories:
            kill_group(directory)

    def remove(self) -> bool:
        """True when all directories are gone; False while a process still ends in one."""
        return all([removed(directory) for directory in self.directories])


def v2_weight(shares: int) -> int:
    """cpu.shares (2-262144) as cpu.weight (1-10000), the conversion that container runtimes use."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


# --- files of a cgroup ------------------------------------------------------------------------------------------


def kill_group(directory: Path) -> None:
    for pid in words(directory / "cgroup.procs"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), signal.SIGKILL)
    # A process that a v1 freezer holds dies when it is let go.
    write_if_there(directory / V1_FREEZER, "THAWED")


def removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError as exc:
        if exc.errno != errno.EBUSY:
            raise
        return False
    return True


def words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def write(file: Path, value: str) -> None:
    # No O_CREAT: on cgroupfs it changes nothing, elsewhere a missing file must be an error.
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def write_if_there(file: Path, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        write(file, value)
