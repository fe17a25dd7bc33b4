"""Functions' DNS questions, passed on to the host's resolvers, which may well listen on the host's loopback only."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

_RESOLV_CONF = Path("/etc/resolv.conf")
_ANSWER_S = 3.0
_MESSAGE_BYTES = 65_535
#: Questions in hand at once; more are dropped, and asked again by whoever asked.
_AT_ONCE = 64


class DnsForwarder:
    """Serves two sockets in threads of its own from `start` to the end of the process."""

    def __init__(self, queries: socket.socket, listener: socket.socket) -> None:
        self._queries, self._listener = queries, listener
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    def start(self) -> None:
        for serve in (self._serve_datagrams, self._serve_connections):
            threading.Thread(target=serve, daemon=True, name=serve.__name__).start()

    def _serve_datagrams(self) -> None:
        while True:
            question, asker = self._queries.recvfrom(_MESSAGE_BYTES)
            self._in_thread(partial(self._answer, question, asker))

    def _serve_connections(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if not self._in_thread(partial(_relay, connection)):
                connection.close()

    def _in_thread(self, work: Callable[[], None]) -> bool:
        """False: no room, nothing was done."""
        if not self._room.acquire(blocking=False):
            return False

        def run() -> None:
            try:
                with contextlib.suppress(OSError):  # no resolver answers: the asker sees the same
                    work()
            finally:
                self._room.release()

        threading.Thread(target=run, daemon=True).start()
        return True

    def _answer(self, question: bytes, asker: tuple[str, int]) -> None:
        for resolver in resolvers(_RESOLV_CONF.read_text()):
            with socket.socket(_family(resolver), socket.SOCK_DGRAM) as upstream:
                upstream.settimeout(_ANSWER_S)
                try:
                    upstream.connect((resolver, 53))
                    upstream.send(question)
                    answer = upstream.recv(_MESSAGE_BYTES)
                except OSError:
                    continue
                self._queries.sendto(answer, asker)
                return


def resolvers(resolv_conf: str) -> list[str]:
    """The nameservers' addresses; none listed means this host's own, as for the C library."""
    found = [line.split()[1] for line in resolv_conf.splitlines() if line.startswith("nameserver") and line.split()[1:]]
    return found or ["127.0.0.1"]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _relay(connection: socket.socket) -> None:
    """One question and one answer over TCP: each has its length in two bytes before it (RFC 1035, 4.2.2)."""
    with connection:
        connection.settimeout(_ANSWER_S)
        question = _framed(connection)
        for resolver in resolvers(_RESOLV_CONF.read_text()):
            try:
                with socket.create_connection((resolver, 53), timeout=_ANSWER_S) as upstream:
                    upstream.sendall(question)
                    answer = _framed(upstream)
            except OSError:
                continue
            connection.sendall(answer)
            return


def _framed(connection: socket.socket) -> bytes:
    length = _exactly(connection, 2)
    return length + _exactly(connection, int.from_bytes(length, "big"))


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("ended within a message")
        data += piece
    return data
