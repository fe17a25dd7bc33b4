"""A sandbox's network namespace: `lo` up, the Runtime API's listener and the platform's already listening in it.

One with a way out has a link to the worker's router (`router.py`). From the others no route leads anywhere: whoever
holds a listener's descriptor (the worker) is all that a sandbox can reach.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from workers.sandbox.isolation import syscalls
from workers.sandbox.isolation.router import Router

_BACKLOG = 128


def make_network(ports: Iterable[int], router: Router | None) -> list[int]:
    """Descriptors: the namespace, then a listener on 127.0.0.1 for each port. router: None for no way out.

    The caller stays in the namespace: it needs no network, and without privileges on the host it could not go back.
    """
    made = []
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        syscalls.loopback_up()
        made.append(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        if router is not None:
            router.connect(made[0])
        made += [_listen(port) for port in ports]
    except OSError:
        for descriptor in made:
            os.close(descriptor)
        raise
    return made


def _listen(port: int) -> int:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    with listener:
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
        return listener.detach()
