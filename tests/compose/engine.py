"""A container engine: the one that runs, else Docker's daemon started by hand as root, away from everything else.

Ours runs in a network and a mount namespace of its own, with all its files in one folder. So its bridges, firewall
rules and mounts are seen by nobody else and go with it. No packet leaves that network; images are therefore built by
the same daemon started once more in the host's network, without bridges and rules. The daemon's flags are `FLAGS`,
`BUILDING` and `RUNNING`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hearth.embedded.process import end_with

#: of both daemons; folders are filled in
FLAGS = (
    "--data-root={folder}/images",
    "--exec-root={folder}/run",
    "--pidfile={folder}/dockerd.pid",
    "--host=unix://{folder}/docker.sock",
    "--config-file={folder}/daemon.json",
    "--storage-driver={storage}",
    "--log-level=warn",
)
#: nothing of the host's network is changed: containers of builds share it (`--network host`)
BUILDING = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false")
#: inside its own network namespace it does as anywhere else; the addresses are no other network's here
RUNNING = ("--bip=10.79.0.1/24", "--default-address-pool=base=10.80.0.0/16,size=24")

#: a daemon that fails ends by itself, so only one that hangs is waited for so long
_START_S, _STOP_S = 180.0, 120.0
_ANSWER_S = 60.0
#: program -> Debian's package
_PROGRAMS = {"dockerd": "docker.io", "containerd": "containerd", "runc": "runc", "docker-init": "docker.io"}


class NoEngine(Exception):
    """There is no engine, and none can be started; the text says why."""


class Engine:
    """Where containers run. `enter` puts a command where their published ports are reached by 127.0.0.1."""

    def __init__(self, socket: str | None, enter: Sequence[str] = ()) -> None:
        self.environ = {"DOCKER_HOST": socket} if socket else {}
        self.enter = tuple(enter)

    def docker(self, *arguments: str, check: bool = True, quiet: bool = False) -> str:
        """Standard output; what fails has printed its reason."""
        done = subprocess.run(
            [client(), *arguments],
            env=os.environ | self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            check=check,
        )
        return done.stdout.strip()


def client() -> str:
    found = shutil.which("docker")
    if found is None:
        raise NoEngine("the program `docker` is not installed: apt-get install docker.io")
    return found


def running() -> Engine | None:
    """The engine that DOCKER_HOST or the usual socket leads to, if it answers. Raises NoEngine."""
    return Engine(None) if _answers() else None


def require_startable() -> None:
    """Raises NoEngine if there is no point in trying to start one."""
    if os.geteuid() != 0:
        raise NoEngine("no engine answers, and only root can start one")
    if lacking := {package: None for program, package in _PROGRAMS.items() if shutil.which(program) is None}:
        raise NoEngine(f"no engine answers, and what one is made of is missing: apt-get install {' '.join(lacking)}")


def _answers(*options: str) -> bool:
    """A daemon that is loading, or whose disk stalls, may accept a call and leave it without an answer."""
    try:
        done = subprocess.run([client(), *options, "info"], capture_output=True, check=False, timeout=_ANSWER_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@contextlib.contextmanager
def for_building(folder: Path) -> Iterator[Engine]:
    """Our own daemon in the host's network. Raises NoEngine."""
    # It would make the networks that it knows of a run that was killed, bridges of the host's now.
    shutil.rmtree(folder / "images" / "network", ignore_errors=True)
    with _daemon(folder, BUILDING, ("unshare", "--mount")):
        yield Engine(_socket(folder))


@contextlib.contextmanager
def for_running(folder: Path) -> Iterator[Engine]:
    """Our own daemon in a network of its own. Raises NoEngine."""
    apart = (
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        'ip link set lo up; exec "$@"',
        "sh",
    )
    with _daemon(folder, RUNNING, apart) as process:
        yield Engine(_socket(folder), ("nsenter", f"--net=/proc/{process.pid}/ns/net"))


def _socket(folder: Path) -> str:
    return f"unix://{folder}/docker.sock"


@contextlib.contextmanager
def _daemon(folder: Path, flags: Sequence[str], prefix: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "daemon.json").write_text("{}\n")  # the host's own is not for this one
    filled = [flag.format(folder=folder, storage=_storage(folder)) for flag in (*FLAGS, *flags)]
    log = folder / "dockerd.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, "dockerd", *filled],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with(os.getpid(), signal.SIGTERM),
        )
    try:
        _await(process, folder, log)
        yield process
    finally:
        process.terminate()  # it stops its containers and containerd
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], folder: Path, log: Path) -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s and process.poll() is None:
        if _answers("--host", _socket(folder)):
            return
        time.sleep(0.2)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise NoEngine(f"Docker's daemon does not start here. The end of {log}:\n{last}")


def _storage(folder: Path) -> str:
    """overlay2 where an overlay can be mounted over this folder; else vfs, which copies every layer."""
    trial = folder / "overlay-trial"
    parts = [trial / name for name in ("lower", "upper", "work", "merged")]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    lower, upper, work, merged = parts
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount = f"mount -t overlay overlay -o {options} {merged}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True, check=False, timeout=30)
    shutil.rmtree(trial)
    return "overlay2" if done.returncode == 0 else "vfs"
