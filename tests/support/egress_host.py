"""A host of our own for tests of egress: a network namespace beside another that plays the outside world.

    python -m tests.support.egress_host outside     the outside world's services, on port 8080
    python -m tests.support.egress_host host        the host's own, which no function may reach, and its resolver

The outside world has public, private and link-local addresses. The host reaches all of them, so that what a function
does not reach is closed by us. The host's resolver listens on its loopback only.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.hosts import new_namespace

PORT = 8080
ADD_PORT = 8081
HOST, LATE = "198.51.100.1", "198.51.100.77"
OUTSIDE = "203.0.113.5"
BROKER = "203.0.113.9"
PRIVATE, ALLOWED = "10.9.9.9", "10.8.8.8"
METADATA = "169.254.169.254"


def serve_outside() -> None:
    """What an address answers is its own name, on every address this namespace has."""
    tcp = socket.create_server(("0.0.0.0", PORT))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((OUTSIDE, PORT))

    def datagrams() -> None:
        while True:
            _, asker = udp.recvfrom(100)
            udp.sendto(b"datagram", asker)

    threading.Thread(target=datagrams, daemon=True).start()
    print("ready", flush=True)
    while True:
        connection, _ = tcp.accept()
        with connection:
            connection.sendall(f"this is {connection.getsockname()[0]}".encode())


def serve_host() -> None:
    """On its address, its loopback and, once somebody asks for it on ADD_PORT, on a new address."""
    for address in ("127.0.0.1", HOST):
        threading.Thread(target=_answer, args=(address,), daemon=True).start()
    threading.Thread(target=_resolve, daemon=True).start()
    control = socket.create_server(("127.0.0.1", ADD_PORT))
    print("ready", flush=True)
    control.accept()[0].close()
    subprocess.run(["ip", "address", "add", f"{LATE}/24", "dev", "out"], check=True)
    _answer(LATE)


def _answer(address: str) -> None:
    server = socket.create_server((address, PORT))
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"the host")


def _resolve() -> None:
    """Every name is the outside world's address. RFC 1035, 4.1."""
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind(("127.0.0.1", 53))
    while True:
        question, asker = resolver.recvfrom(512)
        kind = question[12:].split(b"\0", 1)[1][:2]
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(OUTSIDE) if kind == b"\0\1" else b""
        counts = b"\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0\0\0\0"
        end = 12 + question[12:].index(b"\0") + 5
        resolver.sendto(question[:2] + b"\x81\x80" + counts + question[12:end] + answer, asker)


@contextmanager
def a_host(scratch: Path) -> Iterator[list[str]]:
    """The command prefix that runs a program on our host. Needs root.

    The namespaces have no names: open descriptors hold them, so nobody who mounts or unmounts below /run/netns takes
    them away.
    """
    descriptors = new_namespace(), new_namespace()
    host, outside = (f"/proc/{os.getpid()}/fd/{descriptor}" for descriptor in descriptors)
    resolv_conf = scratch / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    try:
        for namespace, command in _topology(host, outside):
            subprocess.run(["nsenter", f"--net={namespace}", "ip", *command.split()], check=True, capture_output=True)
        with _served(outside, "outside"), _served(host, "host"):
            # Where there is no udev, the device that it opens to all users is root's alone.
            tun = f"mknod -m 666 {scratch}/tun c 10 200 && mount --bind {scratch}/tun /dev/net/tun"
            script = f'mount --bind {resolv_conf} /etc/resolv.conf && {tun} && exec "$@"'
            yield ["nsenter", f"--net={host}", "unshare", "--mount", "sh", "-c", script, "sh"]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextmanager
def _served(namespace: str, what: str) -> Iterator[None]:
    command = ["nsenter", f"--net={namespace}", sys.executable, "-m", "tests.support.egress_host", what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as services:
        try:
            assert services.stdout is not None
            assert services.stdout.readline() == "ready\n"
            yield
        finally:
            services.kill()


def _topology(host: str, outside: str) -> list[tuple[str, str]]:
    """(namespace, arguments of ip)"""
    addresses = (OUTSIDE, BROKER, PRIVATE, ALLOWED, METADATA)
    return [
        (host, f"link add out type veth peer name in netns {outside}"),
        (host, f"address add {HOST}/24 dev out"),
        (outside, "address add 198.51.100.2/24 dev in"),
        *((outside, f"address add {address}/32 dev lo") for address in addresses),
        *((namespace, f"link set {link} up") for namespace, link in ((host, "out"), (outside, "in"))),
        *((namespace, "link set lo up") for namespace in (host, outside)),
        (host, "route add default via 198.51.100.2"),
    ]


if __name__ == "__main__":
    {"outside": serve_outside, "host": serve_host}[sys.argv[1]]()
