"""Parts of sandboxes made ahead, by a process of their own: making them means waiting for the kernel, and the spawner
must not wait.

A part is a few descriptors of one kind (a string). The maker answers in the order it is asked; it and what it holds
end with the spawner.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from workers.sandbox.isolation import reaper, syscalls

_MESSAGE_BYTES = 4096
_DESCRIPTORS = 8
#: kinds that are kept in stock: those taken last
_KINDS = 4

Make = Callable[[str], list[int]]
Discard = Callable[[list[int]], None]


@dataclass(slots=True)
class _Kind:
    size: int
    ready: deque[tuple[int, list[int]]] = field(default_factory=deque)
    asked: int = 0


class Stock:
    """The spawner's handle. channel: readable when a part has come; then call `receive`."""

    def __init__(self, make: Make, discard: Discard | None, *, theirs: list[int]) -> None:
        """make(kind): the descriptors. discard: what to do with a part that has been used; then the maker keeps
        it until `give_up`. theirs: descriptors that the maker must not hold open."""
        self._kinds: OrderedDict[str, _Kind] = OrderedDict()
        self._refused = ""
        self.channel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        if os.fork() == 0:
            self.channel.close()
            for descriptor in theirs:
                os.close(descriptor)
            reaper.run_child(lambda: _serve(channel, make, discard))
        channel.close()

    def keep(self, kind: str, size: int) -> None:
        """From now on have that many of a kind ready."""
        self._kinds[kind] = _Kind(size)
        self._fill(kind)

    def take(self, kind: str) -> tuple[int, list[int]]:
        """The part's number and its descriptors, now the caller's; waits for the maker if none is ready.

        Raises OSError: it can't be made, and why.
        """
        if kind not in self._kinds:
            self._kinds[kind] = _Kind(0)
            if len(self._kinds) > _KINDS:
                self._forget_oldest()
        self._kinds.move_to_end(kind)
        entry = self._kinds[kind]
        if not entry.ready and not entry.asked:
            self._ask(kind)
        while not entry.ready:
            self._refused = ""
            if not self.receive():
                raise OSError("the process that makes parts of sandboxes has ended")
            if self._refused and not entry.ready and not entry.asked:
                raise OSError(self._refused)
        part = entry.ready.popleft()
        if 2 * (len(entry.ready) + entry.asked) < entry.size:
            self._fill(kind)  # else in a quiet moment: making a part takes time from the sandbox that starts now
        return part

    @property
    def full(self) -> bool:
        return all(len(entry.ready) + entry.asked >= entry.size for entry in self._kinds.values())

    def top_up(self) -> None:
        for kind in self._kinds:
            self._fill(kind)

    def receive(self) -> bool:
        """Take in one part, waiting for it. False: the maker has ended."""
        data, descriptors, _, _ = socket.recv_fds(self.channel, _MESSAGE_BYTES, _DESCRIPTORS)
        if not data:
            return False
        message = json.loads(data)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        entry = self._kinds.get(message["kind"])
        if entry is not None:
            entry.asked -= 1
        if "refused" in message:
            self._refused = message["refused"]
        elif entry is not None:
            entry.ready.append((message["number"], descriptors))
        else:
            self._drop(message["number"], descriptors)
        return True

    def give_up(self, number: int) -> None:
        """A part that was taken is no longer used."""
        self.channel.send(json.dumps({"give_up": number}).encode())

    def _fill(self, kind: str) -> None:
        entry = self._kinds[kind]
        while len(entry.ready) + entry.asked < entry.size:
            self._ask(kind)

    def _ask(self, kind: str) -> None:
        self._kinds[kind].asked += 1
        self.channel.send(json.dumps({"make": kind}).encode())

    def _forget_oldest(self) -> None:
        _, entry = self._kinds.popitem(last=False)
        for number, descriptors in entry.ready:
            self._drop(number, descriptors)

    def _drop(self, number: int, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        self.give_up(number)


def _serve(channel: socket.socket, make: Make, discard: Discard | None) -> NoReturn:
    syscalls.die_with_parent(signal.SIGKILL)
    # Imported here: the spawner forks, and what it does not load need not be copied.
    from concurrent.futures import ThreadPoolExecutor

    kept: dict[int, list[int]] = {}
    discarding = ThreadPoolExecutor(2)  # it waits for the kernel too, and whoever asks for a part must not
    number = 0
    while data := channel.recv(_MESSAGE_BYTES):
        message = json.loads(data)
        if "give_up" in message:
            if (part := kept.pop(message["give_up"], None)) is not None and discard is not None:
                discarding.submit(discard, part)
            continue
        try:
            descriptors = make(message["make"])
        except OSError as exc:
            channel.send(json.dumps({"kind": message["make"], "refused": str(exc)}).encode())
            continue
        number += 1
        socket.send_fds(channel, [json.dumps({"kind": message["make"], "number": number}).encode()], descriptors)
        if discard is None:
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            kept[number] = descriptors
    discarding.shutdown()
    os._exit(0)
