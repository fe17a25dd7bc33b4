"""From a SandboxSpec to what is executed: bwrap's options, or a plain command for level `process`. Pure.

The options travel in a file descriptor (--args), never on a command line: /proc/<pid>/cmdline is readable by
every user of the host and would show the function's environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox.isolation.spec import (
    CODE_TARGET,
    INSIDE_GID,
    INSIDE_UID,
    LAYERS_TARGET,
    PLACEHOLDER,
    PLATFORM_PORT,
    RUNTIME_API_PORT,
    Mount,
    SandboxSpec,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A host path among the options; the spawner replaces it by one that the sandbox's user can traverse."""

    path: Path


@dataclass(frozen=True, slots=True)
class Memory:
    """The options that make /tmp in memory; the spawner replaces them where /tmp is on disk."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mode:
    """How the host lets us build sandboxes.

    namespaces: False is level `process`. user_namespace: False only when the worker is root and the host refuses
    user namespaces. own_uid: each sandbox has a host uid of its own (root only). seccomp: a filter is installed.
    tmp_size: /tmp is bounded. as_root: functions have uid 0 on the host, though no capability there.
    """

    namespaces: bool
    user_namespace: bool
    own_uid: bool
    seccomp: bool
    tmp_size: bool
    as_root: bool = False


def environment_of(spec: SandboxSpec, *, runtime_api: str, endpoint_url: str | None) -> dict[str, str]:
    """The whole environment of the command, with the two variables that only spawning knows."""
    environment = dict(spec.environment)
    environment["AWS_LAMBDA_RUNTIME_API"] = runtime_api
    if endpoint_url is not None:
        environment.setdefault("AWS_ENDPOINT_URL", endpoint_url)
    return environment


def environment_inside(spec: SandboxSpec, *, platform: bool) -> dict[str, str]:
    """The whole environment in a network namespace of its own, but for PWD, which bwrap sets. platform: it is there."""
    endpoint_url = f"http://127.0.0.1:{PLATFORM_PORT}" if platform else None
    return environment_of(spec, runtime_api=f"127.0.0.1:{RUNTIME_API_PORT}", endpoint_url=endpoint_url)


def bubblewrap_options(
    spec: SandboxSpec, mode: Mode, *, usr_links: dict[str, str], environment: Mapping[str, str]
) -> list[str | Source | Memory]:
    """Everything between `bwrap` and the command, but for the descriptors (--info-fd, --seccomp).

    usr_links: top-level names beside /usr -> link target ("" where the host has a real directory).
    """
    options: list[str | Source | Memory] = ["--ro-bind", "/usr", "/usr"]
    for name, target in usr_links.items():
        options += ["--symlink", target, f"/{name}"] if target else ["--ro-bind", f"/{name}", f"/{name}"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    size = ("--size", str(spec.ephemeral_mb << 20)) if mode.tmp_size else ()
    options.append(Memory((*size, "--perms", "1777", "--tmpfs", "/tmp")))
    # Made explicitly, because bwrap makes missing parents 0700.
    options += ["--perms", "0755", "--dir", "/var", "--perms", "0755", "--dir", LAYERS_TARGET]
    if spec.code_dir is not None:
        options += ["--ro-bind", Source(spec.code_dir), CODE_TARGET]
    else:
        options += ["--perms", "0755", "--dir", f"{LAYERS_TARGET}/{PLACEHOLDER}"]
        options += [
            "--perms",
            "0755",
            "--tmpfs",
            CODE_TARGET,
            "--perms",
            "0755",
            "--dir",
            f"{CODE_TARGET}/{PLACEHOLDER}",
        ]
        options += ["--remount-ro", CODE_TARGET]
    for mount in spec.mounts:
        options += ["--ro-bind", Source(mount.source), mount.target]
    # Without these two the root and /dev/shm are writable tmpfs outside the quota of /tmp.
    options += ["--remount-ro", "/dev", "--remount-ro", "/"]
    if mode.as_root:
        # The kernel's settings (/proc/sys) ask for uid 0, not for a capability.
        options += ["--remount-ro", "/proc"]
    options += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--hostname", "sandbox", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    if mode.user_namespace:
        options += ["--unshare-user", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_GID)]
    else:  # setpriv, the first thing to run inside, needs these to give them up
        for capability in ("CAP_SETPCAP", *(("CAP_SETUID", "CAP_SETGID") if mode.own_uid else ())):
            options += ["--cap-add", capability]
    options += ["--clearenv", "--chdir", CODE_TARGET]
    for name, value in environment.items():
        options += ["--setenv", name, value]
    return options


def command_inside(spec: SandboxSpec, mode: Mode) -> list[str]:
    """The command that bwrap runs. {uid} is filled in by the spawner."""
    if mode.user_namespace:
        return list(spec.command)
    user = ["--reuid", "{uid}", "--regid", "{uid}", "--clear-groups"] if mode.own_uid else []
    return ["/usr/bin/setpriv", *user, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--", *spec.command]


def plain_command(
    spec: SandboxSpec, *, runtime_api: str, endpoint_url: str | None, temporary_dir: Path
) -> tuple[list[str], dict[str, str]]:
    """Level `process`: command and environment with inside paths replaced by the host's."""
    assert spec.code_dir is not None  # without namespaces nothing can be brought later
    pairs = [*spec.mounts, Mount(spec.code_dir, CODE_TARGET)]
    environment = environment_of(spec, runtime_api=runtime_api, endpoint_url=endpoint_url)
    environment = {name: _rewritten(value, pairs) for name, value in environment.items()}
    environment["TMPDIR"] = str(temporary_dir)
    return [_rewritten(part, pairs) for part in spec.command], environment


def _rewritten(text: str, mounts: Iterable[Mount]) -> str:
    """Replace each inside path, where it stands as a path of its own or starts a longer one."""
    # Longest target first: a layer at /opt/lib must win over one at /opt.
    by_target = {mount.target.rstrip("/"): str(mount.source) for mount in mounts}
    targets = sorted(by_target, key=len, reverse=True)
    pattern = "|".join(re.escape(target) for target in targets)
    return re.sub(rf"(?<![\w./-])({pattern})(?=/|:|$)", lambda match: by_target[match[1]], text)


def usr_links(root: Path = Path("/")) -> dict[str, str]:
    """The library and program directories beside /usr: links into it on a merged host, else real."""
    found = {}
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = root / name
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = ""
    return found
