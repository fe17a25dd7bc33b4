"""The worker's end of the spawner: starts the process, sends requests, routes what comes back.

The only place in the worker that starts a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hearth.clock import Deadline
from workers.sandbox.isolation.spawner import MESSAGE_BYTES
from workers.sandbox.isolation.spec import SpawnFailed

_START_S = 20.0
_REPLY_S = 10.0
_END_S = 5.0
_DESCRIPTORS = 8
_ROOT = Path(__file__).resolve().parents[3]
# -I -S: no site-packages and no user settings; the spawner needs the standard library and its own modules only.
_PROGRAM = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from workers.sandbox.isolation.spawner import main; main()"


class SpawnerRefused(Exception):
    """The host does not let a spawner work in this mode; the text says what was refused."""


class SpawnerClient:
    """One running spawner. Make it with `start`; when it dies, `lost` is called once and every request fails."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self.process = process
        self.alive = True
        #: why functions have no way out; empty if they have one or were to have none
        self.no_egress = ""
        #: why /tmp takes the function's memory; empty if it is on disk or was not to be
        self.no_disk = ""
        self._channel = channel
        self._sending = asyncio.Lock()
        self._spawned: dict[str, asyncio.Future[tuple[int, list[int]]]] = {}
        self._exited: dict[str, Callable[[int], None]] = {}
        #: of sandboxes that are being given a function's files
        self._furnished: dict[str, asyncio.Future[None]] = {}
        #: askers for a socket, by sandbox, in the order of their requests
        self._sockets: dict[str, deque[asyncio.Future[int]]] = {}
        self._loop = asyncio.get_running_loop()
        self._killing: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, setup: dict[str, Any]) -> SpawnerClient:
        """Raises SpawnerRefused."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        ours.setblocking(False)
        with contextlib.suppress(OSError):
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        with theirs:
            process = _start_process(theirs.fileno())
        client = cls(process, ours)
        try:
            async with Deadline.after(_START_S).scope():
                await client._loop.sock_sendall(ours, json.dumps(setup).encode())
                answer = json.loads(await client._loop.sock_recv(ours, 65536) or b"{}")
        except TimeoutError:
            answer = {"refused": "the spawner did not answer"}
        except BaseException:
            await client.close()
            raise
        if not answer.get("ready"):
            await client.close()
            raise SpawnerRefused(answer.get("refused", "the spawner ended at its start"))
        client.no_egress, client.no_disk = answer["no_egress"], answer["no_disk"]
        client._loop.add_reader(ours, client._received)
        return client

    async def spawn(self, request: dict[str, Any], exited: Callable[[int], None]) -> tuple[int, list[int]]:
        """The outer process's pid and the descriptors: output, info, listeners. `exited` gets its code later.

        Raises SpawnFailed. Not to be cancelled: descriptors on their way would have no owner.
        """
        name = request["id"]
        self._spawned[name] = self._loop.create_future()
        self._exited[name] = exited
        try:
            await self._send({**request, "op": "spawn"})
            async with Deadline.after(_REPLY_S).scope():
                return await self._spawned[name]
        except (TimeoutError, OSError, SpawnFailed) as exc:
            del self._exited[name]
            raise SpawnFailed(str(exc) or "the spawner did not answer") from exc
        finally:
            del self._spawned[name]

    async def furnish(self, name: str, code: str, layers: str | None, *, on_top: bool) -> None:
        """Put a function's files into a sandbox that was spawned without any. on_top: see SandboxProcess.furnish.

        Raises SpawnFailed.
        """
        self._furnished[name] = self._loop.create_future()
        try:
            await self._send({"op": "furnish", "id": name, "code": code, "layers": layers, "on_top": on_top})
            async with Deadline.after(_REPLY_S).scope():
                await self._furnished[name]
        except (TimeoutError, OSError) as exc:
            raise SpawnFailed(str(exc) or "the spawner did not answer") from exc
        finally:
            del self._furnished[name]

    async def kill(self, name: str) -> None:
        """Kill a sandbox by its outer process: for one whose inner process is not known."""
        with contextlib.suppress(OSError):
            await self._send({"op": "kill", "id": name})

    async def open_socket(self, name: str) -> socket.socket:
        """A stream socket made inside a sandbox's network namespace. Raises OSError."""
        waiting = self._loop.create_future()
        self._sockets.setdefault(name, deque()).append(waiting)
        try:
            await self._send({"op": "socket", "id": name})
            async with Deadline.after(_REPLY_S).scope():
                return socket.socket(fileno=await asyncio.shield(waiting))
        except SpawnFailed as exc:
            raise ConnectionError(str(exc)) from exc
        finally:
            # Nobody waits any more: what comes later is closed.
            waiting.add_done_callback(_close_unclaimed) if not waiting.done() else None

    async def close(self) -> None:
        """End the spawner and everything it spawned. Idempotent."""
        self.alive = False
        self._loop.remove_reader(self._channel)
        self._channel.close()
        await asyncio.to_thread(_wait, self.process)

    async def _send(self, message: dict[str, Any]) -> None:
        if not self.alive:
            raise SpawnFailed("the spawner has ended")
        async with self._sending:
            await self._loop.sock_sendall(self._channel, json.dumps(message).encode())

    def _received(self) -> None:
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._channel, 65536, _DESCRIPTORS)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._lost()
                return
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self._route(json.loads(data), descriptors)

    def _route(self, message: dict[str, Any], descriptors: list[int]) -> None:
        name = message["id"]
        if "exited" in message:
            if callback := self._exited.pop(name, None):
                callback(message["exited"])
            return
        if "socket" in message or "refused" in message:
            self._route_socket(name, message, descriptors)
            return
        if "furnished" in message or "unfurnished" in message:
            self._route_furnished(name, message.get("unfurnished", ""))
            return
        waiting = self._spawned.get(name)
        if waiting is not None and not waiting.done() and "error" in message:
            waiting.set_exception(SpawnFailed(message["error"]))
        elif waiting is None or waiting.done() or len(descriptors) != message["descriptors"]:
            for descriptor in descriptors:
                os.close(descriptor)
            # Nobody waits any more, or this process may not open more files.
            killing = self._loop.create_task(self.kill(name))
            self._killing.add(killing)
            killing.add_done_callback(self._killing.discard)
            if waiting is not None and not waiting.done():
                waiting.set_exception(SpawnFailed("the worker has too many open files"))
        else:
            waiting.set_result((message["spawned"], descriptors))

    def _route_furnished(self, name: str, refused: str) -> None:
        waiting = self._furnished.get(name)
        if waiting is None or waiting.done():
            return  # it has taken too long
        if refused:
            waiting.set_exception(SpawnFailed(refused))
        else:
            waiting.set_result(None)

    def _route_socket(self, name: str, message: dict[str, Any], descriptors: list[int]) -> None:
        queue = self._sockets[name]
        waiting = queue.popleft()
        if not queue:
            del self._sockets[name]
        if descriptors:
            waiting.set_result(descriptors[0])
        else:
            waiting.set_exception(ConnectionError(message.get("refused", "too many open files")))

    def _lost(self) -> None:
        """The spawner died, so the kernel has killed its sandboxes."""
        self.alive = False
        self._loop.remove_reader(self._channel)
        asked: list[asyncio.Future[Any]] = [*self._spawned.values(), *self._furnished.values()]
        for waiting in asked:
            if not waiting.done():
                waiting.set_exception(SpawnFailed("the spawner ended"))
        for one in (one for queue in self._sockets.values() for one in queue):
            one.set_exception(ConnectionError("the spawner ended"))
        self._sockets.clear()
        for callback in list(self._exited.values()):
            callback(-9)
        self._exited.clear()


def _close_unclaimed(waiting: asyncio.Future[int]) -> None:
    if waiting.exception() is None:
        os.close(waiting.result())


def _wait(process: subprocess.Popen[bytes]) -> None:
    """It ends by itself when the channel closes; the kernel ends its sandboxes if we have to insist."""
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start_process(channel: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(channel)]
    # A session of its own: Ctrl-C in a terminal is for the worker, which then ends the spawner last.
    return subprocess.Popen(command, pass_fds=[channel], stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")
