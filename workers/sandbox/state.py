"""The states of a sandbox and which may follow which. One table; anything else is a bug."""

from __future__ import annotations

import enum

from hearth.errors import InvariantViolated


class SandboxState(enum.StrEnum):
    #: nothing runs yet
    NEW = "new"
    INITIALIZING = "initializing"
    #: the runtime has asked for its first event, or has answered its last one
    READY = "ready"
    INVOKING = "invoking"
    #: Init failed or ran out of time, its processes are gone; it is repeated inside the next invocation
    INIT_FAILED = "init-failed"
    SHUTTING_DOWN = "shutting-down"
    #: all processes reaped; final
    STOPPED = "stopped"


_S = SandboxState
_MAY_FOLLOW: dict[SandboxState, frozenset[SandboxState]] = {
    _S.NEW: frozenset({_S.INITIALIZING, _S.SHUTTING_DOWN}),
    _S.INITIALIZING: frozenset({_S.READY, _S.INIT_FAILED, _S.SHUTTING_DOWN}),
    _S.INIT_FAILED: frozenset({_S.INITIALIZING, _S.SHUTTING_DOWN}),
    # INIT_FAILED: the runtime died while nothing ran.
    _S.READY: frozenset({_S.INVOKING, _S.INIT_FAILED, _S.SHUTTING_DOWN}),
    # INIT_FAILED: the runtime died of the invocation before, without taking this one.
    _S.INVOKING: frozenset({_S.READY, _S.INIT_FAILED, _S.SHUTTING_DOWN}),
    _S.SHUTTING_DOWN: frozenset({_S.STOPPED}),
    _S.STOPPED: frozenset(),
}


def next_state(now: SandboxState, wanted: SandboxState) -> SandboxState:
    """`wanted`, or InvariantViolated."""
    if wanted not in _MAY_FOLLOW[now]:
        raise InvariantViolated(f"a sandbox can't go from {now} to {wanted}")
    return wanted
