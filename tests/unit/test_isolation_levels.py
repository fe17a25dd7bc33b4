"""Which level results from what the host refuses, and where cgroups are found."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from workers.sandbox.isolation.cgroup import v2_weight
from workers.sandbox.isolation.cgroups import Hierarchy, hierarchies
from workers.sandbox.isolation.command import Mode
from workers.sandbox.isolation.levels import PLAIN, Host, Want, best_mode, level_of, satisfies
from workers.sandbox.isolation.spec import IsolationLevel, IsolationUnavailable, SpawnFailed


def a_host(*, root: bool = True, bwrap: str | None = "/usr/bin/bwrap", bpf: bytes = b"filter") -> Host:
    host = Host()
    host.root = host.uid_zero = root
    host.bwrap, host.filter, host.tmp_size = bwrap, bpf, True
    host.no_seccomp = "" if bpf else "libseccomp can't be used (absent)"
    return host


async def found(
    host: Host, *, refused: int, want: Want = "auto", no_limit: dict[str, str] | None = None
) -> tuple[str, str]:
    """Level and missing when the first `refused` attempts fail."""
    attempts: list[Mode] = []

    async def attempt(mode: Mode) -> None:
        attempts.append(mode)
        if len(attempts) <= refused:
            raise SpawnFailed("bwrap: refused.")

    mode, refusals = await best_mode(host, want, attempt)
    level, missing = level_of(host, mode, refusals, no_limit or {})
    return level, " ".join(missing)


async def test_nothing_refused_is_full() -> None:
    assert await found(a_host(), refused=0) == ("full", "")
    assert await found(a_host(root=False), refused=0) == ("full", "")


async def test_root_without_user_namespaces_is_reduced() -> None:
    level, missing = await found(a_host(), refused=1)
    assert level == "reduced"
    assert missing == (
        "A sandbox with a user namespace, under a user id of its own, failed: bwrap: refused. "
        "Sandboxes have no user namespace of their own."
    )


async def test_root_without_ids_to_give_is_reduced() -> None:
    level, missing = await found(a_host(), refused=2)
    assert level == "reduced"
    assert missing.endswith("Sandboxes run under root's user id, without its privileges.")


async def test_no_filter_is_reduced() -> None:
    level, missing = await found(a_host(bpf=b""), refused=0)
    assert (level, missing) == ("reduced", "System calls are not filtered: libseccomp can't be used (absent).")


async def test_no_limit_is_reduced() -> None:
    assert await found(a_host(), refused=0, no_limit={"cpu": "no"}) == ("reduced", "No cpu limit: no.")


async def test_no_bubblewrap_is_process() -> None:
    level, missing = await found(a_host(bwrap=None), refused=0)
    assert level == "process"
    assert missing.startswith("bubblewrap (the program bwrap) is not installed. Functions are plain processes")


async def test_ordinary_user_refused_namespaces_is_process() -> None:
    level, missing = await found(a_host(root=False), refused=1)
    assert level == "process"
    assert missing.startswith("A sandbox with a user namespace, as this user, failed: bwrap: refused. ")


async def test_process_asked_by_name_tries_nothing_else() -> None:
    assert (await found(a_host(), refused=0, want="process"))[0] == "process"


async def test_everything_refused_is_unavailable() -> None:
    with pytest.raises(IsolationUnavailable, match="A plain process failed: bwrap: refused"):
        await found(a_host(), refused=5)


@pytest.mark.parametrize(
    ("level", "wants"),
    [
        (IsolationLevel.FULL, {"auto", "full", "reduced"}),
        (IsolationLevel.REDUCED, {"auto", "reduced"}),
        (IsolationLevel.PROCESS, {"auto", "process"}),
    ],
)
def test_named_level_is_had_exactly_or_better_than_reduced(level: IsolationLevel, wants: set[str]) -> None:
    assert {want for want in get_args(Want) if satisfies(level, want)} == wants


def test_plain_mode_has_nothing() -> None:
    assert Mode(False, False, False, False, False) == PLAIN


_HYBRID_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_hybrid_host_has_v1_controllers_and_a_v2_tree() -> None:
    groups = "5:name=systemd:/x\n4:memory:/a/b\n3:cpu,cpuacct:/\n2:pids:/\n0::/u\n"
    assert hierarchies(groups, _HYBRID_MOUNTS) == [
        Hierarchy(1, frozenset({"name=systemd"}), Path("/sys/fs/cgroup/systemd/x")),
        Hierarchy(1, frozenset({"memory"}), Path("/sys/fs/cgroup/memory/a/b")),
        Hierarchy(1, frozenset({"cpu", "cpuacct"}), Path("/sys/fs/cgroup/cpu,cpuacct")),
        Hierarchy(2, frozenset(), Path("/sys/fs/cgroup/unified/u")),
    ]


def test_pure_v2_host() -> None:
    mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
    path = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.scope"
    assert hierarchies(f"0::{path}\n", mounts) == [Hierarchy(2, frozenset(), Path("/sys/fs/cgroup" + path))]


def test_container_that_sees_its_own_part_of_the_tree() -> None:
    mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    assert hierarchies("4:memory:/docker/abc/in\n", mounts)[0].group == Path("/sys/fs/cgroup/memory/in")


def test_container_with_a_cgroup_namespace() -> None:
    mounts = "30 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    assert hierarchies("0::/\n", mounts)[0].group == Path("/sys/fs/cgroup")


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000), (1, 1), (10**9, 10_000)])
def test_shares_as_weight(shares: int, weight: int) -> None:
    assert v2_weight(shares) == weight
