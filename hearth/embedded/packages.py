"""System packages that Hearth uses: rabbitmq-server for its own broker, bubblewrap for sandboxes; nftables and
slirp4netns for functions' way out.

As root on Debian or Ubuntu what is missing is installed, and the installation leaves no service running: not the
distribution's RabbitMQ, not its epmd. Elsewhere the message names the command to run or the variable to set.
Source of the policy-rc.d contract: Debian's invoke-rc.d.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from hearth.embedded.process import Process, StartFailed, last_lines
from hearth.embedded.rabbitmq import server_script
from hearth.settings import Settings

_POLICY = Path("/usr/sbin/policy-rc.d")
#: package -> program; without them functions reach the platform only
_WAY_OUT = {"nftables": "nft", "slirp4netns": "slirp4netns"}
#: units that the packages enable (erlang-base brings epmd's)
_UNITS = ("rabbitmq-server.service", "epmd.service", "epmd.socket")


def missing(settings: Settings) -> list[str]:
    """Names of the packages to install for these settings."""
    names = []
    if settings.broker_url is None and (server_script() is None or shutil.which("epmd") is None):
        names.append("rabbitmq-server")
    if settings.isolation != "process" and shutil.which("bwrap") is None:
        names.append("bubblewrap")
    if settings.isolation != "process" and settings.egress == "open":
        names += [name for name, program in _WAY_OUT.items() if _program(program) is None]
    return names


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


async def ensure(settings: Settings, progress: Callable[[str], None]) -> list[str]:
    """Install what is missing. Returns what could not be installed but can be done without.

    Raises StartFailed, with the command to run, when the broker can't be had.
    """
    names = missing(settings)
    if not names:
        return []
    if not can_install():
        needed = [name for name in names if name not in _WAY_OUT]
        if "rabbitmq-server" in needed or (needed and settings.isolation in ("full", "reduced")):
            raise StartFailed(_advice(needed))
        return names
    if needed := [name for name in names if name not in _WAY_OUT]:
        await install(needed, progress)
    if wanted := [name for name in names if name in _WAY_OUT]:
        with contextlib.suppress(StartFailed):
            await install(wanted, progress)
    left = missing(settings)
    if any(name in needed for name in left):
        raise StartFailed(f"apt-get installed {' '.join(needed)}, but {' '.join(left)} is still not to be found.")
    return left


async def install(names: list[str], progress: Callable[[str], None]) -> None:
    """By apt, with nothing left running. Raises StartFailed."""
    with _no_service_started():
        before = _daemons()
        try:
            await _apt(["install", "-y", "--no-install-recommends", *names], progress, retry=True)
        finally:
            await _quiet_services(names, before)


def _advice(names: list[str]) -> str:
    what = " ".join(names)
    if shutil.which("apt-get"):
        command = f"Run: sudo apt-get install {what}"
    else:
        command = f"Install {what} with your system's package manager"
    lines = [f"Not installed: {', '.join(names)}. {command}"]
    if "rabbitmq-server" in names:
        lines.append("Or use a RabbitMQ you have: export HEARTH_BROKER_URL=amqp://user:password@host:5672/vhost")
    return "\n".join(lines)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


async def _apt(arguments: list[str], progress: Callable[[str], None], *, retry: bool) -> None:
    progress(f"apt-get {' '.join(arguments)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    process = await Process.start(
        "apt-get",
        ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments],
        env=environment,
        cwd=Path("/"),
        on_line=lambda _, line: progress(line),
    )
    try:
        status = await process.wait()
    except BaseException:
        await process.stop(60.0)  # dpkg must not be cut off between unpacking and configuring
        raise
    if status == 0:
        return
    if not retry:
        raise StartFailed(f"apt-get {' '.join(arguments)} failed with status {status}.\n{last_lines(process)}")
    await _apt(["update"], progress, retry=False)  # a fresh image has no package lists, an old one stale ones
    await _apt(arguments, progress, retry=False)


@contextlib.contextmanager
def _no_service_started() -> Iterator[None]:
    """invoke-rc.d asks policy-rc.d; 101 means: this action is not allowed."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


async def _quiet_services(names: list[str], before: set[int]) -> None:
    """Undo what the packages' scripts enabled or left running; never what ran before we came."""
    if "rabbitmq-server" not in names:
        return
    if systemd_runs():
        command = ["systemctl", "disable", "--now", *_UNITS]
        process = await Process.start("systemctl", command, env=os.environ, cwd=Path("/"), on_line=lambda *_: None)
        await process.wait()
    for pid in _daemons() - before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 15)


def systemd_runs() -> bool:
    return Path("/run/systemd/system").is_dir()


def _daemons() -> set[int]:
    """Pids of epmd daemons and Erlang nodes of the user rabbitmq."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, KeyError):
            name = (folder / "comm").read_text().strip()
            if name in ("epmd", "beam.smp") and folder.owner() == "rabbitmq":
                found.add(int(folder.name))
    return found
