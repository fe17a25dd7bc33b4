"""Runs inside a sandbox as the function: tries to get out, and prints what happened as one JSON object; as a
handler, returns it.

Each attempt answers "refused: <why>", or says what it got. No imports beyond the standard library.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER = 0x10000000
_SYS_CLONE, _SYS_KEYCTL, _SYS_INIT_MODULE = {"x86_64": (56, 250, 175), "aarch64": (220, 219, 105)}[os.uname().machine]


def _call(result: int) -> str:
    if result == 0 and result != os.getpid():
        return "got it"
    code = ctypes.get_errno()
    return f"refused: {os.strerror(code)}" if result < 0 else "got it"


def _clone_user_namespace() -> str:
    pid = _libc.syscall(_SYS_CLONE, _CLONE_NEWUSER | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return _call(pid)


def _read(path: str) -> str:
    with open(path) as file:
        return f"read {len(file.read())} bytes"


def _write(path: str) -> str:
    with open(os.path.join(path, "intruder"), "w") as file:
        file.write("x")
    return "written"


def _open_for_writing(path: str) -> str:
    with open(path, "r+"):
        return "opened"


def _connect(address: str) -> str:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.sendall(b"hello\n")
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(100).decode()


def _foreign_processes() -> str:
    names = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{pid}/comm") as file:
            names.append(file.read().strip())
    foreign = [name for name in names if name not in ("bwrap", "setpriv") and not name.startswith("python")]
    if len(names) > 3 or foreign:
        return f"seen: {names}"
    raise PermissionError("only this sandbox's are there")


def _signal(pid: str) -> str:
    os.kill(int(pid), 0)
    return "delivered"


def _other_root(_: str) -> str:
    for pid in os.listdir("/proc"):
        if pid.isdigit() and os.path.exists(f"/proc/{pid}/root/tmp/other-sandbox-secret"):
            return "read the other's /tmp"
    raise FileNotFoundError("no such file in any process's root")


def _foreign_environment() -> str:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():  # which has it in memory only, if it was a stem cell
            continue
        with open(f"/proc/{pid}/environ", "rb") as file:
            text = file.read()
        if text and b"SECRET_OF_CALLER" not in text:
            return f"read {text[:100]!r}"
    raise PermissionError("only this sandbox's is there")


def _next_function() -> str:
    """A stem cell is told its function once."""
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.sendall(b"GET /hearth/cell HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1000)
    if answer.startswith(b"HTTP/1.1 200"):
        return f"told {answer!r}"
    raise PermissionError(answer.split(b"\r\n")[0].decode())


def _enter_namespace() -> str:
    descriptor = os.open("/proc/1/ns/user", os.O_RDONLY)
    try:
        return _must(_libc.setns(descriptor, 0))
    finally:
        os.close(descriptor)


def _must(result: int) -> str:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused by the kernel")
    return "got it"


def _become_root() -> str:
    os.setuid(0)
    return f"uid {os.getuid()}"


def _attempt(action: Callable[..., str], *arguments: Any) -> str:
    try:
        return action(*arguments)
    except OSError as exc:
        return f"refused: {exc}"


def _pipe_of_shell() -> int:
    """A pipe fails with its first command in bash that is told so; other shells end with 2, not knowing the option."""
    return subprocess.run(["/bin/sh", "-c", "set -o pipefail; (exit 3) | true"], check=False).returncode


def _status(name: str, pid: str = "self") -> str:
    with open(f"/proc/{pid}/status") as file:
        return next(line.split(None, 1)[1].strip() for line in file if line.startswith(name + ":"))


def _at_start(name: str) -> bool:
    """Whether this process has had the variable since its start: a stem cell gets its function's later."""
    with open("/proc/self/environ", "rb") as file:
        return any(pair.startswith(name.encode() + b"=") for pair in file.read().split(b"\0"))


def attack(target: dict[str, str]) -> dict[str, Any]:
    """target: names of what is to be reached outside. Returns what was tried, and what is there."""
    tried = {
        "other sandbox's /tmp": _attempt(_other_root, ""),
        "other sandbox's code": _attempt(_read, target["other_code"]),
        "worker's private file": _attempt(_read, target["private_file"]),
        "host's shadow file": _attempt(_read, "/etc/shadow"),
        "host's processes": _attempt(_foreign_processes),
        "signal to the worker": _attempt(_signal, target["worker_pid"]),
        "loopback port of the host": _attempt(_connect, target["loopback"]),
        "port on the host's address": _attempt(_connect, target["address"]),
        "mount": _call(_libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
        "unmount the code": _call(_libc.umount2(b"/var/task", 2)),
        "become the next function": _attempt(_next_function),
        "ptrace": _call(_libc.ptrace(0, 0, 0, 0)),
        "unshare": _call(_libc.unshare(_CLONE_NEWUSER)),
        "clone with a user namespace": _clone_user_namespace(),
        "keyctl": _call(_libc.syscall(_SYS_KEYCTL, 0, -3, 0, 0, 0)),
        "vsock": _attempt(lambda: str(socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))),
        "raw socket": _attempt(lambda: str(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))),
        "packet socket": _attempt(lambda: str(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))),
        "read another's memory": _call(_libc.process_vm_readv(1, None, 0, None, 0, 0)),
        "environment of others": _attempt(_foreign_environment),
        "namespace of pid 1": _attempt(_enter_namespace),
        "kernel module": _call(_libc.syscall(_SYS_INIT_MODULE, None, 0, b"")),
        "become root": _attempt(_become_root) if os.getuid() else "refused: root without capabilities",
    }
    for path in ("/", "/var/task", "/opt", "/usr", "/etc", "/dev", "/dev/shm", "/var"):
        tried[f"write to {path}"] = _attempt(_write, path)
    tried["write to the shell"] = _attempt(_open_for_writing, "/bin/sh")
    tried["write to the kernel's settings"] = _attempt(_open_for_writing, "/proc/sys/kernel/core_pattern")
    return {
        "from a cell": not _at_start("SECRET_OF_CALLER"),
        "tried": tried,
        "write to /tmp": _attempt(_write, "/tmp"),
        "platform": _attempt(_connect, os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")),
        "runtime api": _attempt(_connect, os.environ["AWS_LAMBDA_RUNTIME_API"]),
        "environment": sorted(os.environ),
        "pipe of /bin/sh": _pipe_of_shell(),
        "capabilities": int(_status("CapEff"), 16) | int(_status("CapBnd"), 16),
        "no_new_privs": _status("NoNewPrivs"),
        "seccomp": _status("Seccomp"),
        # Its memory is the function's to write; so it must hold nothing that the function does not.
        "pid 1": {name: _status(name, "1") for name in ("CapEff", "CapPrm", "NoNewPrivs", "Seccomp")},
        "groups": os.getgroups(),
        "uid": os.getuid(),
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],  # the last is the listing's own
        "hostname": socket.gethostname(),
        "directory": os.getcwd(),
    }


def handler(event: dict[str, str], _context: object) -> dict[str, Any]:
    return attack(event)


if __name__ == "__main__":
    print(json.dumps(attack(json.loads(os.environ["TARGET"]))))
    sys.stdout.flush()
