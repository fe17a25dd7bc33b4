"""Network namespaces made ahead: `lo` up, the Runtime API's listener and the platform's already listening in them.

No namespace has a route out. Whoever holds a listener's descriptor (the worker) is all that a sandbox can reach.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from dataclasses import dataclass

from workers.sandbox.isolation import syscalls
from workers.sandbox.isolation.spec import PLATFORM_PORT, RUNTIME_API_PORT

_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Network:
    """One namespace, by its descriptor, and the listeners in it: Runtime API, then platform if there is one."""

    namespace: int
    listeners: tuple[socket.socket, ...]

    def close(self) -> None:
        """Forget it here. It lives on while a process is in it or somebody else holds a listener."""
        os.close(self.namespace)
        for listener in self.listeners:
            listener.close()


class NetworkPool:
    """Namespaces are used once and never returned: a sandbox's leavings must not meet the next one."""

    def __init__(self, size: int, *, platform: bool) -> None:
        self._size = size
        self._ports = (RUNTIME_API_PORT, PLATFORM_PORT) if platform else (RUNTIME_API_PORT,)
        self._ready: deque[Network] = deque()

    @property
    def full(self) -> bool:
        return len(self._ready) >= self._size

    def add(self) -> None:
        self._ready.append(self._make())

    def take(self) -> Network:
        return self._ready.popleft() if self._ready else self._make()

    def _make(self) -> Network:
        # The spawner itself stays in the namespace it made last: it needs no network, and without privileges on
        # the host it could not go back.
        syscalls.unshare(syscalls.CLONE_NEWNET)
        syscalls.loopback_up()
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return Network(namespace, tuple(_listen(port) for port in self._ports))


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener
