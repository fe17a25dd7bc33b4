"""The system calls a sandbox is refused, as a compiled filter.

A refused call answers EPERM, so that libraries take their fallback; clone3 answers ENOSYS, because its flags lie
in memory where a filter can't look, and every libc then falls back to clone.
"""

from __future__ import annotations

import errno
import os
import socket

#: Ways to new privileges, to other processes, or to kernel parts with a history of holes.
REFUSED = (
    *("unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise"),
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("keyctl", "add_key", "request_key", "open_by_handle_at", "name_to_handle_at", "lookup_dcookie"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "syslog"),
    *("swapon", "swapoff", "quotactl", "quotactl_fd", "acct", "settimeofday", "clock_settime", "adjtimex"),
    *("clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm", "vm86", "vm86old", "modify_ldt"),
    *("nfsservctl", "vhangup", "fanotify_init", "move_pages", "migrate_pages", "mbind", "set_mempolicy"),
)
#: CLONE_NEW*: cgroup, uts, ipc, user, pid, net, mount, time
_CLONE_NAMESPACES = (0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x20000, 0x80)
#: Others (vsock, packet, alg, ...) reach the host past the network namespace, or much kernel code.
_SOCKET_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


def compile_filter() -> bytes:
    """The filter as BPF, about 2 kB, for bwrap's --seccomp.

    Raises OSError or RuntimeError when libseccomp (Debian: libseccomp2) can't be loaded or refuses.
    """
    # Imported late: loading looks for the shared library and fails where there is none.
    import pyseccomp as seccomp

    eperm = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in REFUSED:
        if seccomp.resolve_syscall(seccomp.system_arch(), name) != -1:  # unknown to this libseccomp
            rules.add_rule(eperm, name)
    for flag in _CLONE_NAMESPACES:
        rules.add_rule(eperm, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add_rule(eperm, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    for family in range(max(_SOCKET_FAMILIES)):
        if family not in _SOCKET_FAMILIES:
            rules.add_rule(eperm, "socket", seccomp.Arg(0, seccomp.EQ, family))
    rules.add_rule(eperm, "socket", seccomp.Arg(0, seccomp.GT, max(_SOCKET_FAMILIES)))
    with open(os.memfd_create("seccomp"), "w+b", buffering=0) as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
