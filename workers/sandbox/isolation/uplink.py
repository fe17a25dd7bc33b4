"""The host's end of functions' way out: a process in the host's network that carries the router's traffic.

It runs slirp4netns (packets become ordinary sockets of the host), starts it again if it dies, answers functions' DNS
questions (`dns.py`) and tells the spawner which addresses the host has. It is forked from the spawner before that one
enters any namespace, and ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from workers.sandbox.isolation import reaper, syscalls
from workers.sandbox.isolation.dns import DnsForwarder
from workers.sandbox.isolation.router import MTU, UPLINK, UPLINK_NETWORK

_MESSAGE_BYTES = 65_536
_RESTART_S = 1.0
_RTMGRP_IPV4_IFADDR = 0x10


class Uplink:
    """The spawner's handle. channel: becomes readable when the host's addresses have changed, or the process ended."""

    def __init__(self, slirp: str, *, theirs: Iterable[int]) -> None:
        """theirs: descriptors of the spawner that the new process must not hold open."""
        self.channel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        if os.fork() == 0:
            self.channel.close()
            for descriptor in theirs:
                os.close(descriptor)
            reaper.run_child(lambda: _serve(channel, slirp))
        channel.close()

    def host_addresses(self) -> list[str] | None:
        """The next message: all of the host's addresses. None: the process has ended."""
        message = self.channel.recv(_MESSAGE_BYTES)
        return json.loads(message) if message else None

    def begin(self, namespace: int, dns: Iterable[socket.socket], user_namespace: int | None) -> None:
        """Hand over what it works with; then the router gets its way out."""
        descriptors = [namespace, *(one.fileno() for one in dns)]
        if user_namespace is not None:
            descriptors.append(user_namespace)
        socket.send_fds(self.channel, [b"begin"], descriptors)


def _serve(channel: socket.socket, slirp: str) -> NoReturn:
    """Until the spawner's end of the channel closes, however it died."""
    changes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    changes.bind((0, _RTMGRP_IPV4_IFADDR))
    told = _tell(channel, [])
    message, descriptors, _, _ = socket.recv_fds(channel, 64, 4)
    if not message:
        os._exit(0)
    namespace, queries, listener, *user_namespace = descriptors
    DnsForwarder(socket.socket(fileno=queries), socket.socket(fileno=listener)).start()
    while True:
        helper = _start(slirp, namespace, user_namespace[0] if user_namespace else None)
        ended = os.pidfd_open(helper.pid)
        while True:
            ready, _, _ = select.select([channel.fileno(), changes.fileno(), ended], [], [])
            if channel.fileno() in ready:
                helper.kill()
                os._exit(0)
            if changes.fileno() in ready:
                changes.recv(_MESSAGE_BYTES)
                told = _tell(channel, told)
            if ended in ready:
                break
        os.close(ended)
        helper.wait()
        time.sleep(_RESTART_S)


def _tell(channel: socket.socket, told: list[str]) -> list[str]:
    addresses = local_addresses(Path("/proc/self/net/fib_trie").read_text())
    if addresses != told:
        with contextlib.suppress(OSError):  # the spawner has gone: the next look at the channel says so
            channel.send(json.dumps(addresses).encode())
    return addresses


def local_addresses(fib_trie: str) -> list[str]:
    """The addresses that are this host's own, from /proc/net/fib_trie."""
    return sorted(set(re.findall(r"\|-- (\S+)\s+/32 host LOCAL", fib_trie)))


def _start(slirp: str, namespace: int, user_namespace: int | None) -> subprocess.Popen[bytes]:
    """It talks to hostile code: as root it gives up files and capabilities (--enable-sandbox asks for a root to be),
    and always the system calls that it does not need."""
    command = [slirp, "--configure", f"--mtu={MTU}", f"--cidr={UPLINK_NETWORK}", "--disable-host-loopback"]
    command += ["--enable-seccomp", "--netns-type=path"]
    passed = [namespace]
    if user_namespace is None:
        command.append("--enable-sandbox")
    else:
        command.append(f"--userns-path=/proc/self/fd/{user_namespace}")
        passed.append(user_namespace)
    command += [f"/proc/self/fd/{namespace}", UPLINK]
    return subprocess.Popen(
        command,
        pass_fds=passed,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: syscalls.die_with_parent(signal.SIGKILL),
    )
