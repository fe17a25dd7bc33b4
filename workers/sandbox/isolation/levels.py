"""Which isolation the host allows: modes from the best down, and in sentences what each one lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from workers.sandbox.isolation.command import Mode
from workers.sandbox.isolation.seccomp import compile_filter
from workers.sandbox.isolation.spec import IsolationLevel, IsolationUnavailable, SpawnFailed

Want = Literal["auto", "full", "reduced", "process"]

_CAP_SYS_ADMIN = 21

PLAIN = Mode(namespaces=False, user_namespace=False, own_uid=False, seccomp=False, tmp_size=False)


class Host:
    """What this process has to work with, looked up once.

    uid_zero: root by name. root: with its privileges; without them it can do what an ordinary user can.
    tmp_size: bwrap can bound /tmp (since 0.7). no_seccomp: why there is no filter, or empty. nft, slirp: programs
    that functions' way out needs.
    """

    def __init__(self) -> None:
        self.uid_zero = os.geteuid() == 0
        self.root = self.uid_zero and _may_administer()
        self.bwrap = shutil.which("bwrap")
        self.tmp_size = self.bwrap is not None and "--size" in _help_of(self.bwrap)
        self.filter, self.no_seccomp = _seccomp()
        self.nft, self.slirp = _program("nft"), _program("slirp4netns")

    @property
    def no_egress(self) -> str:
        """Programs that functions' way out lacks, as a sentence; empty if all are there."""
        packages = {"nftables": self.nft, "slirp4netns": self.slirp}
        lacking = [name for name, program in packages.items() if program is None]
        return f"not installed: {', '.join(lacking)}" if lacking else ""

    def modes(self) -> Sequence[Mode]:
        """Those with namespaces, best first."""
        if self.bwrap is None:
            return ()
        users = [(True, True), (False, True), (True, False), (False, False)] if self.root else [(True, False)]
        return [
            Mode(
                namespaces=True,
                user_namespace=user_namespace,
                own_uid=own_uid,
                seccomp=bool(self.filter),
                tmp_size=self.tmp_size,
                as_root=self.uid_zero and not own_uid,
            )
            for user_namespace, own_uid in users
        ]


async def best_mode(host: Host, want: Want, attempt: Callable[[Mode], Awaitable[None]]) -> tuple[Mode, tuple[str, ...]]:
    """The first mode whose trial (`attempt`, raising SpawnFailed or OSError) succeeds, and what failed before it.

    Raises IsolationUnavailable if not even plain processes can be started.
    """
    refusals: list[str] = []
    modes: list[Mode] = []
    if want == "process":
        refusals.append("Level process was asked for by name.")
    elif host.bwrap is None:
        refusals.append("bubblewrap (the program bwrap) is not installed.")
    else:
        modes += host.modes()
    for mode in (*modes, PLAIN):
        try:
            await attempt(mode)
        except (SpawnFailed, OSError) as exc:
            refusals.append(f"{_described(mode, root=host.root)} failed: {str(exc).rstrip('.')}.")
        else:
            return mode, tuple(refusals)
    raise IsolationUnavailable("process", tuple(refusals))


def level_of(
    host: Host, mode: Mode, refusals: Sequence[str], no_limit: Mapping[str, str]
) -> tuple[IsolationLevel, tuple[str, ...]]:
    """The level's name and what it lacks. no_limit: controller -> why it can't be limited."""
    missing = list(refusals)
    if not mode.namespaces:
        missing.append(
            "Functions are plain processes of the worker's user: no private files, processes or network, no system "
            "call filter, no limit on /tmp."
        )
    else:
        if not mode.user_namespace:
            missing.append("Sandboxes have no user namespace of their own.")
        if mode.as_root:
            missing.append("Sandboxes run under root's user id, without its privileges.")
        if not mode.seccomp:
            missing.append(f"System calls are not filtered: {host.no_seccomp}.")
        if not mode.tmp_size:
            missing.append("No /tmp limit: this bubblewrap is older than 0.7.")
    missing += [f"No {name} limit: {why}." for name, why in no_limit.items()]
    if not mode.namespaces:
        return IsolationLevel.PROCESS, tuple(missing)
    return (IsolationLevel.REDUCED if missing else IsolationLevel.FULL), tuple(missing)


def satisfies(level: IsolationLevel, want: Want) -> bool:
    """A named level is had exactly; only `reduced` is content with more."""
    return want in ("auto", level) or (want == "reduced" and level is IsolationLevel.FULL)


def _described(mode: Mode, *, root: bool) -> str:
    if not mode.namespaces:
        return "A plain process"
    user = "with a user namespace" if mode.user_namespace else "without a user namespace"
    uid = ("under a user id of its own" if mode.own_uid else "under the worker's user id") if root else "as this user"
    return f"A sandbox {user}, {uid},"


def _may_administer() -> bool:
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> _CAP_SYS_ADMIN & 1)


def _help_of(program: str) -> str:
    return subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10).stdout


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _seccomp() -> tuple[bytes, str]:
    """The compiled filter, or nothing and why."""
    try:
        return compile_filter(), ""
    except (ImportError, OSError, RuntimeError) as exc:
        return b"", f"libseccomp can't be used ({exc})"
