"""Which stem cells may become which function. Pure.

A cell has booted before its function was known: what the runtime reads at its start, and what is part of the sandbox's
frame (way out, size of /tmp, a heap's size), must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from workers.lifecycle.environment import boot_environment, differs_at_start
from workers.runtimes.runtime import Runtime
from workers.sandbox.stem_cell import CellKind
from workers.sandbox.supervisor import Egress, SandboxSpec

#: AWS's defaults, and its smallest function
_USUAL_TMP_MB, _SMALLEST_MB = 512, 128


def usual_kind(runtime: Runtime, egress: Egress) -> CellKind | None:
    """The cells that a runtime's functions most likely take; None: it has none."""
    return _kind(runtime, runtime.cell.usual_mb, _USUAL_TMP_MB, egress) if runtime.cell else None


def kind_for(runtime: Runtime, spec: SandboxSpec) -> CellKind | None:
    """The cells that may become what `spec` asks for; None: it needs a full start."""
    if runtime.cell is None:
        return None
    kind = _kind(runtime, spec.memory_mb, spec.ephemeral_mb, spec.egress)
    boot = dict(kind.environment)
    if differs_at_start(spec.environment, boot, runtime.cell.at_start):
        return None
    if runtime.cell.in_place and not _has_room_for(boot, spec.environment):
        return None
    return kind


def _has_room_for(boot: Mapping[str, str], environment: Mapping[str, str]) -> bool:
    """What spawning adds to both does not count."""
    return len(environment) <= len(boot) and _size(environment) <= _size(boot)


def _size(environment: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) + 2 for name, value in environment.items())


def _kind(runtime: Runtime, memory_mb: int, ephemeral_mb: int, egress: Egress) -> CellKind:
    assert runtime.cell is not None  # asked by both callers
    sized = runtime.sized(runtime.cell.launch, memory_mb)
    return CellKind(
        command=sized,
        environment=tuple(sorted((boot_environment(runtime.defaults) | dict(runtime.cell.environment)).items())),
        mounts=runtime.mounts,
        memory_mb=memory_mb if sized != runtime.cell.launch else _SMALLEST_MB,
        ephemeral_mb=ephemeral_mb,
        egress=egress,
        enters=runtime.cell.enters,
    )
