"""A host of our own for tests of egress: a network namespace beside another that plays the outside world.

    python -m tests.support.egress_host serve     the outside world's services, on port 8080

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

PORT = 8080
HOST = "198.51.100.1"
OUTSIDE = "203.0.113.5"
BROKER = "203.0.113.9"
PRIVATE, ALLOWED = "10.9.9.9", "10.8.8.8"
METADATA = "169.254.169.254"


def serve() -> None:
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


@contextmanager
def a_host(scratch: Path) -> Iterator[list[str]]:
    """The command prefix that runs a program on our host. Needs root."""
    host, outside = f"hearth-h{os.getpid()}", f"hearth-o{os.getpid()}"
    resolv_conf = scratch / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    try:
        for command in _topology(host, outside):
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        enter = ["nsenter", f"--net=/run/netns/{outside}"]
        command = [*enter, sys.executable, "-m", "tests.support.egress_host", "serve"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as world:
            assert world.stdout is not None
            assert world.stdout.readline() == "ready\n"
            script = f'mount --bind {resolv_conf} /etc/resolv.conf && exec "$@"'
            yield ["nsenter", f"--net=/run/netns/{host}", "unshare", "--mount", "sh", "-c", script, "sh"]
            world.kill()
    finally:
        for namespace in (host, outside):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _topology(host: str, outside: str) -> list[str]:
    addresses = (OUTSIDE, BROKER, PRIVATE, ALLOWED, METADATA)
    return [
        f"netns add {host}",
        f"netns add {outside}",
        f"link add out netns {host} type veth peer name in netns {outside}",
        f"-n {host} address add {HOST}/24 dev out",
        f"-n {outside} address add 198.51.100.2/24 dev in",
        *(f"-n {outside} address add {address}/32 dev lo" for address in addresses),
        *(f"-n {name} link set {link} up" for name, link in ((host, "out"), (outside, "in"))),
        *(f"-n {name} link set lo up" for name in (host, outside)),
        f"-n {host} route add default via 198.51.100.2",
    ]


if __name__ == "__main__":
    serve()
