"""The nouns of isolation: what a sandbox is asked to be, how it ended, what level it has."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import HearthError
from workers.sandbox.isolation.cgroup import Limits

#: where the Runtime API and the platform's API listen inside a network namespace of its own
RUNTIME_API_PORT = 9001
PLATFORM_PORT = 4566
#: where a function's package and its layers lie, seen from inside
CODE_TARGET, LAYERS_TARGET = "/var/task", "/opt"
#: A directory in both of a sandbox that waits for a function. This one, because the loader looks into it: it asks only
#: once, when a program starts, which directories of its search path there are.
PLACEHOLDER = "lib"
#: the user a function runs as, seen from inside: the ids of AWS's sbx_user1051
INSIDE_UID, INSIDE_GID = 993, 990


class IsolationLevel(enum.StrEnum):
    """full: everything. reduced: namespaces, but a limit is missing. process: plain processes, no isolation."""

    FULL = "full"
    REDUCED = "reduced"
    PROCESS = "process"


class Egress(enum.StrEnum):
    """What a function reaches. open: the outside world and the platform, never this host or its private networks.
    platform: the platform's API only. off: nothing but its own Runtime API."""

    OPEN = "open"
    PLATFORM = "platform"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """How a worker's functions reach the outside world.

    usual: what most functions have; made ahead. never: addresses that none may reach, besides the host's own (broker,
    state). allowed: addresses and networks that are open although private ranges are closed.
    """

    usual: Egress = Egress.OPEN
    never: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


class IsolationUnavailable(HearthError):
    """The named level can't be had on this host; `reasons` are sentences. Nothing runs."""

    def __init__(self, level: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"isolation level {level} is not available here: " + " ".join(reasons))
        self.level = level
        self.reasons = reasons


class SpawnFailed(HearthError):
    """The sandbox could not be built; the function's command never ran."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path shown read-only at `target` inside."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What to spawn. Paths in `command` and `environment` are as seen inside.

    environment: all of it; AWS_LAMBDA_RUNTIME_API is set by spawn, AWS_ENDPOINT_URL too unless it is here.
    code_dir: read-only at /var/task, the working directory; None: SandboxProcess.furnish brings it, and layers, later.
    cpu_cores: hard quota, None for none. cpu_weight: share under contention, in the unit of memory_mb. egress: `open`
    becomes `platform` where the host has no way out (Supervisor.no_egress); level `process` keeps nothing apart.
    """

    sandbox_id: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    code_dir: Path | None
    mounts: tuple[Mount, ...] = ()
    memory_mb: int = 128
    ephemeral_mb: int = 512
    cpu_cores: float | None = None
    cpu_weight: int = 128
    pids_max: int = 1024
    open_files: int = 1024
    egress: Egress = Egress.PLATFORM

    @property
    def limits(self) -> Limits:
        return Limits(self.memory_mb, self.cpu_cores, self.cpu_weight, self.pids_max)


@dataclass(frozen=True, slots=True)
class Exit:
    """How the runtime command ended: exactly one of `status` and `signal` is set.

    The code comes through bwrap, which reports death by signal N as 128 + N: a command that exits with
    128 + N by itself looks the same. oom: the kernel killed it for its memory limit.
    """

    status: int | None
    signal: int | None
    oom: bool

    @classmethod
    def of(cls, code: int, *, oom_killed: bool) -> Exit:
        """From a code in the shell's convention; negative codes are signals too, as in `subprocess`."""
        number = -code if code < 0 else code - 128 if 128 < code <= 192 else None
        if number is None:
            return cls(code, None, False)
        return cls(None, number, oom_killed and number == 9)
