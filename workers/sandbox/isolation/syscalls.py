"""The Linux calls that Python 3.11 does not offer, through libc. Every failure is an OSError with its errno.

Used by the spawner process, which has one thread: namespaces it enters here are its own.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_CLONE_INTO_CGROUP = 0x200000000
# the same numbers on every architecture
_SYS_CLONE3, _SYS_MOVE_MOUNT, _SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 435, 429, 430, 431, 432
_SYS_OPEN_TREE, _SYS_MOUNT_SETATTR = 428, 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_MOVE_MOUNT_F_EMPTY_PATH = 4
_OPEN_TREE_CLONE, _AT_RECURSIVE, _AT_EMPTY_PATH = 1, 0x8000, 0x1000
_AT_FDCWD = -100

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2

CAP_NET_ADMIN = 12
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG = 1
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_PR_SET_CHILD_SUBREAPER = 36
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)
# PyDLL keeps the interpreter lock over the call: clone3 returns twice, and the child must own it.
_libc_forking = ctypes.PyDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _checked(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = (os.fsencode(source), os.fsencode(target), kind.encode() if kind else None)
    _checked(_libc.mount(*encoded, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def unmount(target: str) -> None:
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def mount_detached(kind: str, source: str, options: Iterable[str]) -> int:
    """A mount that is attached nowhere; it ends with its last descriptor. options: `name` or `name=value`."""
    context = _checked(_libc.syscall(_SYS_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC), "fsopen")
    try:
        for option in (f"source={source}", *options):
            name, given, value = option.partition("=")
            command = _FSCONFIG_SET_STRING if given else _FSCONFIG_SET_FLAG
            encoded = name.encode(), value.encode() if given else None
            _checked(_libc.syscall(_SYS_FSCONFIG, context, command, *encoded, 0), f"mount option {option}")
        _checked(_libc.syscall(_SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0), f"mount {source}")
        attributes = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV
        mount_fd = _checked(_libc.syscall(_SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes), "fsmount")
    finally:
        os.close(context)
    return mount_fd


def attach(mount_fd: int, target: str) -> None:
    """Put a detached mount at a path of this mount namespace."""
    arguments = (mount_fd, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    _checked(_libc.syscall(_SYS_MOVE_MOUNT, *arguments), f"attach {target}")


def mount_of(path: str) -> int:
    """What lies at a path as a mount of its own, read-only and attached nowhere; it ends with its last descriptor."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    tree = _checked(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags), f"open tree {path}")
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd
    attributes = struct.pack("=4Q", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV, 0, 0, 0)
    call = (_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes, len(attributes))
    try:
        _checked(_libc.syscall(*call), f"read-only {path}")
    except OSError:
        os.close(tree)
        raise
    return tree


def replace_mount(mount_fd: int, target: str, inside: str) -> None:
    """Put a detached mount in the place of the mount that is at `target`, for every process there: also for one whose
    working directory is its root, which a mount on top would leave behind.

    It is pivot_root, told that `target` is our root. inside: a directory of the mount that is there. Our own root and
    working directory are elsewhere afterwards: enter a mount namespace next.
    """
    attach(mount_fd, f"{target}/{inside}")
    os.chroot(target)
    os.chdir(f"/{inside}")
    # Both the new root and the place of the old one: the old one comes to lie on top of it, and goes.
    _checked(_libc.syscall(_SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), f"pivot {target}")
    unmount(".")


def sync_file_system(descriptor: int) -> None:
    _checked(_libc.syncfs(descriptor), "syncfs")


def die_with_parent(signal_number: int) -> None:
    """The kernel sends this signal when the *thread* that forked us ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def become_subreaper() -> None:
    """Orphaned descendants become our children instead of init's."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def keep_over_exec(capability: int) -> None:
    """Let the next program have a capability that we hold in our user namespace: an exec drops it from other users."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; the low halves, then the high ones
    _checked(_libc.capget(header, data), "capget")
    sets = list(struct.unpack("=6I", data.raw))
    sets[2] |= 1 << capability
    _checked(_libc.capset(header, struct.pack("=6I", *sets)), "capset")
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl")


def loopback_up() -> None:
    """Bring `lo` up in the present network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xh", fcntl.ioctl(control, _SIOCGIFFLAGS, request))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def socket_in(pid: int) -> socket.socket:
    """A stream socket made in a process's network namespace; we stay where we are."""
    ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    theirs = -1
    try:
        theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        setns(theirs, CLONE_NEWNET)
        try:
            return socket.socket()
        finally:
            setns(ours, CLONE_NEWNET)
    finally:
        for descriptor in (ours, theirs):
            if descriptor >= 0:
                os.close(descriptor)


def enter_user_namespace() -> None:
    """A user namespace in which we keep our own ids and hold every capability (until an exec)."""
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    # Without this an unprivileged process may not write its gid map (since Linux 3.19).
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def fork_into_cgroup(cgroup_fd: int | None) -> int:
    """fork(); with a cgroup v2 directory, the child is born in it.

    Moving a process afterwards waits for a grace period of the whole kernel (about 9 ms measured, against 1).
    """
    if cgroup_fd is None:
        return os.fork()
    # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls, set_tid, n, cgroup
    fields = [_CLONE_INTO_CGROUP, 0, 0, 0, 17, 0, 0, 0, 0, 0, cgroup_fd]
    arguments = (ctypes.c_uint64 * len(fields))(*fields)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = _libc_forking.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    code = ctypes.get_errno()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(code or errno.EIO, f"clone3 into cgroup: {os.strerror(code)}")
    return int(pid)
