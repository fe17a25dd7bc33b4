"""What this host allows sandboxes, found by trying: the findings that `hearth doctor` shows.

Each part is judged by whether a real sandbox, a real cgroup, a real filter could be made just now; files under
/proc are read only to explain a refusal.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workers.sandbox.isolation.cgroups import CONTROLLERS, Hierarchy, hierarchies
from workers.sandbox.isolation.levels import satisfies
from workers.sandbox.supervisor import EgressPolicy, IsolationLevel, IsolationUnavailable, Supervisor

if TYPE_CHECKING:
    from hearth.settings import Settings

Status = Literal["ok", "degraded", "missing"]

_USER_NAMESPACE_SYSCTLS = (
    ("user.max_user_namespaces", "0", "28633"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
)
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_CONTAINER = (
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined ..."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the host. meaning: what it is for, or what follows from its absence. remedy: the one command
    that mends it, empty when there is nothing to mend. detail: what was seen."""

    name: str
    status: Status
    meaning: str
    remedy: str
    detail: str


def probe(settings: Settings) -> list[Finding]:
    """Try everything once (about 0.2 s) and leave nothing behind. Blocking; may be called from within a loop."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_probe(settings))).result()


async def _probe(settings: Settings) -> list[Finding]:
    log = logging.getLogger("hearth.probe")
    log.propagate, log.disabled = False, True  # what it would warn of is in the findings
    try:
        with tempfile.TemporaryDirectory(dir=_existing(settings.data), prefix=".probe-") as folder:
            policy, disks = EgressPolicy(), Path(folder)
            supervisor = await Supervisor.create(
                want="auto", platform=None, pool=0, log=log, egress=policy, disks=disks
            )
            await supervisor.close()
    except IsolationUnavailable as exc:
        meaning = "Not even a plain process could be started: no function can run."
        return [Finding("isolation level", "missing", meaning, "", " ".join(exc.reasons))]
    return [
        _user(supervisor),
        _bubblewrap(),
        _user_namespaces(supervisor),
        _network_namespaces(supervisor),
        _way_out(supervisor, settings),
        _disks(supervisor),
        _seccomp(supervisor),
        *_limits(supervisor),
        _level(supervisor, settings),
    ]


def _user(supervisor: Supervisor) -> Finding:
    who = f"{_user_name()} (uid {os.getuid()})"
    if os.geteuid() != 0:
        meaning = "As an ordinary user, sandboxes share this user's id on the host; namespaces keep them apart."
        return Finding("user", "ok", meaning, "", who)
    if supervisor.mode.own_uid:
        return Finding("user", "ok", "As root, every sandbox runs under a host user id of its own.", "", who)
    meaning = "Functions run under root's user id: another user for Hearth would be safer here."
    return Finding("user", "degraded", meaning, "", who)


def _bubblewrap() -> Finding:
    program = shutil.which("bwrap")
    if program is None:
        meaning = "Sandboxes can't be built: functions run as plain processes."
        return Finding("bubblewrap", "missing", meaning, _install("bubblewrap"), "no bwrap in PATH")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout.strip()
    return Finding("bubblewrap", "ok", "Builds the sandboxes.", "", f"{version} ({program})")


def _user_namespaces(supervisor: Supervisor) -> Finding:
    name = "user namespaces"
    if supervisor.mode.user_namespace:
        return Finding(
            name, "ok", "Functions hold no rights on the host, not even those of their user.", "", "made one"
        )
    refusal = next(
        (reason for reason in supervisor.missing if "user namespace" in reason or "as this user" in reason), ""
    )
    meaning = "Without them root's sandboxes are weaker, and an ordinary user's functions run as plain processes."
    for sysctl, closed, value in _USER_NAMESPACE_SYSCTLS:
        if _sysctl(sysctl) == closed:
            return Finding(name, "degraded", meaning, f"sudo sysctl -w {sysctl}={value}", f"{sysctl} is {closed}")
    if _sysctl(_APPARMOR) == "1":
        return Finding(name, "degraded", meaning, _apparmor_profile(), f"{_APPARMOR} is 1; {refusal}")
    if shutil.which("bwrap") is None:
        return Finding(name, "degraded", meaning, _install("bubblewrap"), "not tried without bubblewrap")
    remedy = _CONTAINER if _in_container() else ""
    return Finding(name, "degraded", meaning, remedy, refusal)


def _network_namespaces(supervisor: Supervisor) -> Finding:
    name = "network namespaces"
    if supervisor.mode.namespaces:
        return Finding(name, "ok", "A function sees no network but its own.", "", "made one")
    meaning = "Functions share the host's network and reach whatever the worker reaches."
    return Finding(name, "degraded", meaning, "", "they come with user namespaces and bubblewrap: see there")


def _way_out(supervisor: Supervisor, settings: Settings) -> Finding:
    name = "egress"
    if settings.egress != "open":
        meaning = "Functions reach what HEARTH_EGRESS names, but for those whose tag hearth:egress is open."
        return Finding(name, "ok", meaning, "", f"HEARTH_EGRESS={settings.egress}")
    if not supervisor.mode.namespaces:
        meaning = "Functions reach whatever the worker reaches."
        return Finding(name, "degraded", meaning, "", "they come with network namespaces: see there")
    if not supervisor.no_egress:
        meaning = "Functions reach the outside world, never this host or its private networks."
        return Finding(name, "ok", meaning, "", f"a router with {supervisor.host.slirp}")
    packages = [name for name in ("nftables", "slirp4netns") if name in supervisor.no_egress]
    meaning = "Functions have no way out: they reach the platform's API only."
    return Finding(name, "degraded", meaning, _install(" ".join(packages)) if packages else "", supervisor.no_egress)


def _disks(supervisor: Supervisor) -> Finding:
    if not supervisor.no_disk and supervisor.mode.namespaces:
        return Finding("/tmp on disk", "ok", "What functions write to /tmp is not their memory.", "", "made one")
    meaning = "What functions write to /tmp counts as their memory, unlike on AWS."
    return Finding("/tmp on disk", "degraded", meaning, "", supervisor.no_disk or "it comes with namespaces: see there")


def _seccomp(supervisor: Supervisor) -> Finding:
    if not supervisor.host.no_seccomp:
        meaning = "Functions are refused the system calls that escapes need."
        return Finding("seccomp", "ok", meaning, "", f"filter of {len(supervisor.host.filter)} bytes compiled")
    meaning = "System calls are not filtered: more of the kernel lies open to functions."
    return Finding("seccomp", "degraded", meaning, _install("libseccomp2"), supervisor.host.no_seccomp)


def _limits(supervisor: Supervisor) -> list[Finding]:
    meanings = {
        "memory": ("A function's memory is bounded.", "A function may take all of the host's memory."),
        "cpu": ("CPU is shared in proportion to memory.", "A busy function may take all of the host's CPU."),
        "pids": ("A function's processes are bounded.", "A function may start processes without end."),
    }
    found = hierarchies(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    findings = []
    for controller in CONTROLLERS:
        bounded, unbounded = meanings[controller]
        name, version = f"{controller} limit", _cgroup_of(controller, found)
        why = supervisor.no_limit.get(controller)
        if why is None:
            findings.append(Finding(name, "ok", bounded, "", version))
        else:
            findings.append(Finding(name, "degraded", unbounded, _delegation(found), f"{version}: {why}"))
    return findings


def _level(supervisor: Supervisor, settings: Settings) -> Finding:
    meanings = {
        IsolationLevel.FULL: "Namespaces, system call filter and limits all hold.",
        IsolationLevel.REDUCED: "Functions are kept apart, but something is missing (see above).",
        IsolationLevel.PROCESS: "Functions are NOT kept apart: only run code that you trust with everything here.",
    }
    detail = " ".join((f"level {supervisor.level}.", *supervisor.missing))
    name, meaning = "isolation level", meanings[supervisor.level]
    if settings.isolation != "process" and not satisfies(supervisor.level, settings.isolation):
        meaning = f"HEARTH_ISOLATION={settings.isolation} asks for more: workers refuse to start. {meaning}"
        return Finding(name, "missing", meaning, "export HEARTH_ISOLATION=auto", detail)
    return Finding(name, "ok" if supervisor.level is IsolationLevel.FULL else "degraded", meaning, "", detail)


# --- explaining and mending -------------------------------------------------------------------------------------


def _cgroup_of(controller: str, found: list[Hierarchy]) -> str:
    for hierarchy in found:
        if controller in hierarchy.controllers:
            return f"cgroup v1 at {hierarchy.group}"
    unified = next((hierarchy for hierarchy in found if hierarchy.version == 2), None)
    return f"cgroup v2 at {unified.group}" if unified else "no cgroup"


def _delegation(found: list[Hierarchy]) -> str:
    """The command that hands cgroups to this user."""
    if found and all(os.statvfs(hierarchy.group).f_flag & os.ST_RDONLY for hierarchy in found):
        # Containers get them read-only.
        return "docker run --cgroupns=private -v /sys/fs/cgroup:/sys/fs/cgroup:rw ..."
    v1 = [h.group / "hearth" for h in found if h.controllers & set(CONTROLLERS)]
    if v1:
        return shlex.join(["sudo", "install", "-d", "-o", _user_name(), *map(str, v1)])
    return "systemd-run --user --scope -p Delegate=yes hearth up"


def _apparmor_profile() -> str:
    programs = ",".join((shutil.which("bwrap") or "/usr/bin/bwrap", os.path.realpath(sys.executable)))
    profile = f"abi <abi/4.0>,\\nprofile hearth /{{{programs}}} flags=(unconfined) {{ userns, }}\\n".replace(
        "/{/", "{/"
    )
    return f"printf '{profile}' | sudo tee /etc/apparmor.d/hearth && sudo apparmor_parser -r /etc/apparmor.d/hearth"


def _install(package: str) -> str:
    names = {"libseccomp2": {"dnf": "libseccomp", "apk": "libseccomp", "pacman": "libseccomp"}}.get(package, {})
    managers: dict[str, Callable[[str], str]] = {
        "apt-get": lambda name: f"apt-get install -y {name}",
        "dnf": lambda name: f"dnf install -y {name}",
        "apk": lambda name: f"apk add {name}",
        "pacman": lambda name: f"pacman -S --noconfirm {name}",
    }
    manager = next((name for name in managers if shutil.which(name)), "apt-get")
    sudo = "" if os.geteuid() == 0 else "sudo "
    return sudo + managers[manager](names.get(manager, package))


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's arbitrary uid
        return str(os.getuid())


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    """The nearest one that is there: what can be done on its disk, can be done in the one to come."""
    return next(path for path in (folder, *folder.parents) if os.access(path, os.W_OK))


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
