"""DATA/run/stack.json: the ports and passwords of this data folder's servers, and what runs now.

Chosen once and remembered, mode 0600. `hearth up` holds DATA/run/lock while it runs, so that two of them never
share a data folder; the lock goes with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import secrets
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: below Linux's ephemeral range (32768-60999), so that no outgoing connection takes one while a server restarts
_PORTS = range(20000, 32000)


class AlreadyRunning(Exception):
    """Another process holds this data folder; `pid` is None if it did not leave its number."""

    def __init__(self, data: Path, pid: int | None) -> None:
        super().__init__(f"Hearth already runs on {data}" + (f" (pid {pid})." if pid else "."))
        self.pid = pid


@dataclass
class Running:
    """The platform that holds the lock."""

    pid: int
    endpoint: str
    broker_url: str
    state_url: str
    coordination_url: str
    log: str | None = None
    ready: bool = False
    #: process name -> pid
    processes: dict[str, int] = field(default_factory=dict)


class StackFile:
    """Every change is written at once (atomically); reading needs no lock."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._path = data / "run" / "stack.json"
        self._lock_fd: int | None = None
        self.ports: dict[str, int] = {}
        self.passwords: dict[str, str] = {}
        self.running: Running | None = None
        self._read()

    def acquire(self) -> None:
        """Hold the data folder until this process ends. Raises AlreadyRunning."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._path.with_name("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise AlreadyRunning(self.data, self.running.pid if self.running else None) from None
        self._lock_fd = fd
        self._read()
        self.running = None

    def release(self) -> None:
        """Forget what ran, keep ports and passwords, let another process have the folder."""
        if self._lock_fd is None:
            return
        self.running = None
        self.save()
        os.close(self._lock_fd)
        self._lock_fd = None

    def port(self, name: str) -> int:
        """The remembered port if nobody took it meanwhile, else a new one."""
        known = self.ports.get(name)
        if known is None or not is_free(known):
            self.ports[name] = free_port(taken=self.ports.values())
            self.save()
        return self.ports[name]

    def password(self, name: str) -> str:
        if name not in self.passwords:
            self.passwords[name] = secrets.token_urlsafe(24)
            self.save()
        return self.passwords[name]

    def save(self) -> None:
        """Called by whoever holds the lock, after it changed `running`."""
        content = {
            "ports": self.ports,
            "passwords": self.passwords,
            "running": asdict(self.running) if self.running else None,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_suffix(".tmp")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(content, file, indent=1)
        draft.replace(self._path)

    def _read(self) -> None:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, PermissionError):
            content: dict[str, Any] = json.loads(self._path.read_text())
            self.ports = content.get("ports") or {}
            self.passwords = content.get("passwords") or {}
            running = content.get("running")
            self.running = Running(**running) if running else None


def live(data: Path) -> Running | None:
    """What runs on this data folder now; None also if it died without saying so."""
    running = StackFile(data).running
    if running is None:
        return None
    try:
        fd = os.open(data / "run" / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return running
    finally:
        os.close(fd)
    return None


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(*, taken: Any = ()) -> int:
    """A port of the loopback that nobody listens on, and not one of `taken`."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in taken and is_free(port):
            return port
    raise OSError("no free port between 20000 and 32000 on 127.0.0.1")
