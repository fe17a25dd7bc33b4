"""The spawner's private view of the host: a mount namespace in which sandboxes' sources can be reached.

A sandbox's own user can't walk through a 0700 directory such as /root. Sources below one are bind-mounted onto a
small tmpfs that only this process and its children see; it vanishes with them and leaves nothing on the host. In
this view /bin/sh is bash, as in AWS's images, and so it is in every sandbox.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import OrderedDict
from pathlib import Path

from workers.sandbox.isolation import syscalls
from workers.sandbox.isolation.spec import INSIDE_GID, INSIDE_UID

#: A directory that every Linux has and below which no function's source can lie.
_STAGING = Path("/sys/class")
#: Where a sandbox's disk lies for a moment, on its way to its /tmp.
TMP = _STAGING / "tmp"
#: Bind mounts kept for reuse. A dropped one costs a new mount; sandboxes have copies of their own.
_KEPT = 256

#: Programs that are nothing but the shell of a host whose /bin/sh is not bash; BusyBox, say, is a hundred others too.
_PLAIN_SHELLS = ("sh", "dash")

#: All that a sandbox sees of the host's /etc, where it exists: the loader's cache, trust stores, time zone, and
#: what Debian's and Red Hat's packages of language runtimes link to from /usr.
_SHARED_ETC = (
    *("ld.so.cache", "localtime", "mime.types", "alternatives", "ssl/certs", "ssl/openssl.cnf"),
    *("pki/tls/certs", "pki/tls/openssl.cnf", "pki/ca-trust/extracted", "pki/java", "crypto-policies", "dotnet"),
)
_SHARED_ETC_PATTERNS = ("java*", "ssl/java", "mono")
_OWN_ETC = {
    "passwd": f"root:x:0:0:root:/:/sbin/nologin\nsbx_user1051:x:{INSIDE_UID}:{INSIDE_GID}::/tmp:/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "group": f"root:x:0:\nsbx_user1051:x:{INSIDE_GID}:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox sandbox.localdomain\n::1 localhost\n",
    # There is no route to a resolver; with this, look-ups fail at once instead of timing out.
    "resolv.conf": "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}


class Staging:
    """Built once per spawner, after it has entered namespaces in which it may mount."""

    def __init__(self, *, other_users: bool) -> None:
        """other_users: sandboxes run under uids that are not ours, so paths must be open to all."""
        syscalls.unshare(syscalls.CLONE_NEWNS)
        # What we mount must not travel to the host, nor what the host unmounts be pinned by us.
        syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("tmpfs", str(_STAGING), "tmpfs", flags, "mode=755,size=32m")
        _show_bash_as_sh()
        self._other_users = other_users
        self._binds: OrderedDict[tuple[str, int, int], Path] = OrderedDict()
        self._count = 0
        TMP.mkdir()
        #: for an /opt without layers
        self.empty = _STAGING / "empty"
        self.empty.mkdir()
        self.etc = _STAGING / "etc"
        _build_etc(self.etc)
        #: the same for sandboxes that have a resolver
        self.open_etc = _STAGING / "etc-open"

    def build_open_etc(self, nameserver: str) -> None:
        shutil.copytree(self.etc, self.open_etc, symlinks=True, copy_function=os.link)
        resolv_conf = self.open_etc / "resolv.conf"
        resolv_conf.unlink()  # a link to the other's
        resolv_conf.write_text(f"nameserver {nameserver}\n")
        resolv_conf.chmod(0o644)

    def path_of(self, source: str) -> str:
        """A path to `source` that a sandbox's user can traverse. Raises OSError saying why there is none."""
        found = os.stat(source)
        if not self._other_users:
            return source
        needed = 0o5 if os.path.isdir(source) else 0o4
        if found.st_mode & needed != needed:
            raise PermissionError(f"{source} must be readable by all users (its mode is {found.st_mode & 0o777:o})")
        real = Path(source).resolve()  # what is open may be reached by a link through what isn't
        if _open_to_all(real):
            return str(real)
        # The inode too: a path may have been replaced by a new directory since.
        key = (source, found.st_dev, found.st_ino)
        if key not in self._binds:
            self._binds[key] = self._bind(source)
        self._binds.move_to_end(key)
        return str(self._binds[key])

    def _bind(self, source: str) -> Path:
        while len(self._binds) >= _KEPT:
            _, oldest = self._binds.popitem(last=False)
            syscalls.unmount(str(oldest))
            oldest.rmdir() if oldest.is_dir() else oldest.unlink()
        self._count += 1
        target = _STAGING / str(self._count)
        _bind(Path(source), target)
        return target


def _show_bash_as_sh() -> None:
    """Scripts written for AWS say `#!/bin/sh` and mean bash (`set -o pipefail`); Debian's dash refuses them.

    Once here, not in each sandbox: what lies below /usr goes along when that is bound there.
    """
    shell, bash = Path("/bin/sh").resolve(), Path("/bin/bash").resolve()
    if shell.name in _PLAIN_SHELLS and shell != bash and bash.is_file():
        with contextlib.suppress(OSError):  # a security module may refuse it; the host's own shell is no danger
            syscalls.mount(str(bash), str(shell), None, syscalls.MS_BIND)


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _bind(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    syscalls.mount(str(source), str(target), None, syscalls.MS_BIND | syscalls.MS_REC)


def _copy(source: Path, target: Path) -> None:
    """A copy, not a bind: each mount in here would be one more to make read-only in every sandbox."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=_unreadable)
    else:
        shutil.copyfile(source, target)


def _unreadable(directory: str, names: list[str]) -> list[str]:
    """What the host keeps from ordinary users stays kept, though root could copy it."""
    return [name for name in names if not (Path(directory, name).lstat().st_mode & 0o004)]


def _build_etc(target: Path) -> None:
    target.mkdir()
    for name, text in _OWN_ETC.items():
        (target / name).write_text(text)
        (target / name).chmod(0o644)
    host = Path("/etc")
    matched = (str(p.relative_to(host)) for pattern in _SHARED_ETC_PATTERNS for p in host.glob(pattern))
    for name in (*_SHARED_ETC, *matched):
        if (host / name).exists():
            _copy(host / name, target / name)
