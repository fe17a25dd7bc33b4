"""The spawner: a small process with one thread that makes every sandbox of a worker.

A process of its own, because a program with threads can't enter a user namespace, and forking a large one is slow.
Its mount namespace is private; as an ordinary user it lives in a user namespace of its own. It ends when the
worker's end of the socket closes, however the worker died, and every sandbox dies with it (PR_SET_PDEATHSIG).

Messages are JSON, one a datagram. In: setup, then spawn, furnish, socket and kill. Out: ready | refused; per sandbox
`spawned` with descriptors (listeners, output, info), or `error`; later `exited` with the code. `ready` says in
`no_egress` why functions have no way out and in `no_disk` why /tmp takes their memory, if so.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import selectors
import signal
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Any

from workers.sandbox.isolation import reaper, syscalls, user_ids
from workers.sandbox.isolation.parts import Parts, PartsStore
from workers.sandbox.isolation.router import GATEWAY
from workers.sandbox.isolation.spec import CODE_TARGET, LAYERS_TARGET, PLACEHOLDER
from workers.sandbox.isolation.staging import TMP, Staging
from workers.sandbox.isolation.uplink import Uplink

MESSAGE_BYTES = 1 << 20
_QUIET_S = 0.02  # after so long without a request the stocks are filled up


class Spawner:
    def __init__(self, worker: socket.socket, setup: dict[str, Any]) -> None:
        self._worker = worker
        # First of all: it stays in the host's namespaces.
        uplink = Uplink(setup["egress"]["slirp"], theirs=[worker.fileno()]) if setup["egress"] else None
        self._bwrap: str = setup["bwrap"]
        self.namespaces: bool = setup["namespaces"]
        self._user_namespace: bool = setup["user_namespace"]
        self._own_uid: bool = setup["own_uid"]
        self._seccomp = bytes.fromhex(setup["seccomp"])
        #: sandbox id, host user id, number of its disk
        self._by_pid: dict[int, tuple[str, int | None, int | None]] = {}
        self._freezer = Path(setup["freezer"]) if setup["freezer"] else None
        self._uids: deque[int] = deque()
        # What processes that we fork must not hold open: the ends of sockets that say, by closing, that we are gone.
        ends = [worker.fileno()]
        if self._own_uid:
            uids, self._uid_claim = user_ids.claim()
            # First in, first out, so that a uid rests long before its next sandbox.
            self._uids.extend(uids)
            ends.append(self._uid_claim.fileno())
        syscalls.become_subreaper()  # the inner pid 1 of a sandbox outlives the outer one for a moment
        if self.namespaces:
            if not setup["root"]:
                syscalls.enter_user_namespace()
            self._staging = Staging(other_users=self._own_uid)
            self.parts = PartsStore(setup, uplink, ends)
            if uplink is not None and not self.parts.no_egress:
                self._staging.build_open_etc(GATEWAY)

    def run(self) -> None:
        """Until the worker has gone; whatever ends it, every sandbox ends with it."""
        try:
            self._serve()
        finally:
            self._end_all()

    def _serve(self) -> None:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(self._worker, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        watched = self.parts.watched() if self.namespaces else {}
        for descriptor in watched:
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            full = not self.namespaces or self.parts.full
            ready = {key.fd for key, _ in selector.select(None if full else _QUIET_S)}
            if not ready:
                self.parts.top_up()
            # A helper that died can't be made anew from here: this spawner ends, and its successor has another.
            if not all(watched[descriptor]() for descriptor in ready & watched.keys()):
                break
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self._worker.fileno() in ready:
                message = self._next_message()
                if not message:
                    break
                self._handle(json.loads(message))

    def _next_message(self) -> bytes:
        """Empty: the worker has gone."""
        try:
            return self._worker.recv(MESSAGE_BYTES)
        except ConnectionResetError:  # it died before it had read all that we told it
            return b""

    def _end_all(self) -> None:
        """The worker has gone. Dying would do, but for a bwrap that has not yet tied its life to ours, and for
        sandboxes that a v1 freezer holds: they die only once they are let go."""
        if not self.namespaces:
            self._thaw_all()
            for pid in self._by_pid:  # each reaper ends its own tree and removes its folder
                os.kill(pid, signal.SIGTERM)
            for pid in self._by_pid:
                os.waitpid(pid, 0)
        reaper.kill_descendants(self._thaw_all)

    def _thaw_all(self) -> None:
        if self._freezer is not None:
            for state in self._freezer.glob("*/freezer.state"):
                with contextlib.suppress(OSError):
                    state.write_text("THAWED")

    def _handle(self, message: dict[str, Any]) -> None:
        name = message["id"]
        if message["op"] == "kill":
            # A reaper needs the chance to kill what is below it; bwrap's children are killed by the kernel.
            number = signal.SIGKILL if self.namespaces else signal.SIGTERM
            for pid, (sandbox_id, *_) in self._by_pid.items():
                if sandbox_id == name:
                    os.kill(pid, number)
            return
        if message["op"] == "socket":
            self._open_socket(name)
            return
        if message["op"] == "furnish":
            try:
                self._furnish(name, message["code"], message["layers"], on_top=message["on_top"])
            except OSError as exc:
                self._send({"id": name, "unfurnished": str(exc)})
            else:
                self._send({"id": name, "furnished": True})
            return
        with contextlib.ExitStack() as opened:
            try:
                pid, descriptors = self._spawn(message, opened)
            except OSError as exc:
                self._send({"id": name, "error": str(exc)})
            else:
                self._send({"id": name, "spawned": pid, "descriptors": len(descriptors)}, descriptors)

    def _open_socket(self, name: str) -> None:
        """A socket belongs to the namespace in which it was made, whoever connects it."""
        try:
            stream = syscalls.socket_in(next(pid for pid, (one, *_) in self._by_pid.items() if one == name))
        except (OSError, StopIteration) as exc:
            self._send({"id": name, "refused": str(exc) or "it has ended"})
            return
        with stream:
            self._send({"id": name, "socket": True}, [stream.fileno()])

    def _furnish(self, name: str, code: str, layers: str | None, *, on_top: bool) -> None:
        """Put a function's files into a sandbox that runs without. Raises OSError; then the sandbox is of no use."""
        outer = next((pid for pid, (one, *_) in self._by_pid.items() if one == name), None)
        if outer is None:
            raise OSError(errno.ESRCH, "it has ended")
        with contextlib.ExitStack() as opened:
            ours = _opened(opened, os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
            # The outer process's only child is the pid 1 inside.
            inner = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[:1]
            theirs = _opened(opened, os.open(f"/proc/{''.join(inner)}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
            code_mount = _opened(opened, syscalls.mount_of(self._staging.path_of(code)))
            layers_from = str(self._staging.empty) if layers is None else self._staging.path_of(layers)
            layers_mount = _opened(opened, syscalls.mount_of(layers_from))
            syscalls.setns(theirs, syscalls.CLONE_NEWNS)
            try:
                syscalls.attach(layers_mount, LAYERS_TARGET)
                if on_top:
                    syscalls.attach(code_mount, CODE_TARGET)
                else:
                    syscalls.replace_mount(code_mount, CODE_TARGET, PLACEHOLDER)
            finally:
                syscalls.setns(ours, syscalls.CLONE_NEWNS)

    def _spawn(self, message: dict[str, Any], opened: contextlib.ExitStack) -> tuple[int, list[int]]:
        """Fork the sandbox's first process. All that `opened` holds is closed once the worker has its copies."""
        output, output_write = _pipe(opened)
        info, info_write = _pipe(opened)
        os.set_blocking(output, False)
        os.set_blocking(info, False)
        tasks = [_opened(opened, os.open(path, os.O_WRONLY | os.O_CLOEXEC)) for path in message["tasks"]]
        cgroup = None
        if message["unified"]:
            cgroup = _opened(opened, os.open(message["unified"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        if self._own_uid and not self._uids:
            raise OSError(errno.EAGAIN, "every user id of this worker is taken by a sandbox")
        parts, options = None, -1
        if self.namespaces:
            parts = self.parts.take(way_out=message["way_out"], disk_mb=message["disk_mb"])
            opened.callback(parts.close)
            options = _opened(opened, self._options(message["options"], parts))
        uid = self._uids.popleft() if self._own_uid else None
        pid = syscalls.fork_into_cgroup(cgroup)
        if pid == 0:

            def child() -> None:
                for file in tasks:
                    os.write(file, b"0")
                _standard_streams(output_write)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_NOFILE, (message["open_files"],) * 2)
                if parts is None:
                    plain = message["command"], message["environment"], message["directory"]
                    reaper.run(*plain, temporary_dir=message["temporary_dir"], info_fd=info_write)
                else:
                    self._bubblewrap(message["command"], parts, uid, options, info_write)

            reaper.run_child(child)
        self._by_pid[pid] = (message["id"], uid, parts.keep_disk() if parts else None)
        return pid, [output, info, *(parts.listeners if parts else [])]

    def _options(self, options: list[str | dict[str, Any]], parts: Parts) -> int:
        """bwrap's options as a file: NUL-terminated strings, with paths that the sandbox's user can walk."""
        words = ["--ro-bind", str(self._staging.open_etc if parts.way_out else self._staging.etc), "/etc"]
        for word in options:
            match word:
                case {"source": source}:
                    words.append(self._staging.path_of(source))
                case {"in_memory": in_memory}:
                    words += in_memory if parts.disk is None else ["--bind", str(TMP), "/tmp"]
                case str():
                    words.append(word)
        return _memory_file("options", b"".join(os.fsencode(word) + b"\0" for word in words))

    def _bubblewrap(self, command: list[str], parts: Parts, uid: int | None, options: int, info: int) -> None:
        """In the child: into the namespaces, down to the sandbox's own user, and on to bwrap."""
        if parts.disk is not None:
            syscalls.unshare(syscalls.CLONE_NEWNS)  # no other sandbox is to see it, nor its mount to stay here
            syscalls.attach(parts.disk, str(TMP))
        syscalls.setns(parts.namespace, syscalls.CLONE_NEWNET)
        arguments = ["bwrap", "--args", str(options), "--info-fd", str(info)]
        inherited = [options, info]
        if self._seccomp:
            filter_fd = _memory_file("seccomp", self._seccomp)
            arguments += ["--seccomp", str(filter_fd)]
            inherited.append(filter_fd)
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        if uid is not None and self._user_namespace:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        reaper.reset_signals()
        # Before bwrap says so itself, and after the change of user, which clears it.
        syscalls.die_with_parent(signal.SIGKILL)
        filled = [word.replace("{uid}", str(uid)) if uid is not None else word for word in command]
        os.execve(self._bwrap, [*arguments, "--", *filled], {})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            sandbox_id, uid, disk = self._by_pid.pop(pid, (None, None, None))
            if disk is not None:
                self.parts.give_up_disk(disk)
            if uid is not None:
                self._uids.append(uid)
            if sandbox_id is not None:
                self._send({"id": sandbox_id, "exited": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the worker is gone: the loop ends next
            socket.send_fds(self._worker, [json.dumps(message).encode()], descriptors or [])


def _pipe(opened: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    return _opened(opened, read), _opened(opened, write)


def _opened(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _memory_file(name: str, content: bytes) -> int:
    """A fresh one each time: bwrap reads from the shared offset."""
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _standard_streams(output: int) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def main() -> None:
    """Started by the supervisor with the number of its socket as the only argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group; the worker drains first, then closes
    os.umask(0o022)  # what we write must be readable to sandboxes; they inherit it, as on AWS
    worker = socket.socket(fileno=int(sys.argv[1]))
    worker.set_inheritable(False)
    first = worker.recv(MESSAGE_BYTES)
    if not first:
        return
    try:
        spawner = Spawner(worker, json.loads(first))
    except OSError as exc:
        worker.send(json.dumps({"refused": str(exc)}).encode())
        return
    ready = {"ready": True, "no_egress": "", "no_disk": ""}
    if spawner.namespaces:
        ready |= {"no_egress": spawner.parts.no_egress, "no_disk": spawner.parts.no_disk}
    worker.send(json.dumps(ready).encode())
    spawner.run()
