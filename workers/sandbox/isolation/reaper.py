"""Level `process`: the process between spawner and function, which leaves nothing of the function behind.

It does what pid 1 does in a sandbox: adopts every orphan below it (as subreaper), and when the command ends, or
the spawner does, or it is told to (SIGTERM), kills all its descendants and only then ends itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from workers.sandbox.isolation import syscalls


def run(
    command: list[str], environment: Mapping[str, str], directory: str, *, temporary_dir: str, info_fd: int
) -> NoReturn:
    """Start the command, report its pid on `info_fd` as bwrap does, and end with its exit code as bwrap does.

    temporary_dir is removed before that: the worker may not live to do it.
    """
    syscalls.become_subreaper()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    syscalls.die_with_parent(signal.SIGTERM)
    child = os.fork()
    if child == 0:
        run_child(lambda: _become(command, environment, directory))
    os.write(info_fd, json.dumps({"child-pid": child}).encode())
    os.close(info_fd)
    code = _wait_for(child)
    kill_descendants()
    shutil.rmtree(temporary_dir, ignore_errors=True)
    os._exit(code)


def run_child(body: Callable[[], None]) -> NoReturn:
    """After a fork: run `body`, which ends in an exec; what fails before that goes to standard error."""
    try:
        body()
    except BaseException as exc:
        os.write(2, f"hearth: the sandbox could not be started: {exc}\n".encode())
    finally:
        os._exit(127)


def reset_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ; those, our mask and what the spawner ignores would survive the exec."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def _become(command: list[str], environment: Mapping[str, str], directory: str) -> None:
    os.setsid()
    os.chdir(directory)
    reset_signals()
    os.execvpe(command[0], command, dict(environment))


def _wait_for(child: int) -> int:
    """The command's code, 128 + N for signal N; told to stop, kill it and report that."""
    while True:
        if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
            os.kill(child, signal.SIGKILL)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code


def kill_descendants(let_die: Callable[[], None] = lambda: None) -> None:
    """SIGKILL to everything below this process, a subreaper, until nothing is left. Only for its last moments.

    let_die: called after each round of signals, to let go of what can't die by itself.
    """
    # Again and again: a killed parent's children become ours, and a fork may race with the walk.
    while True:
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        let_die()
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _descendants(of: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # The name, in parentheses, may hold anything; the parent's pid is the second field after it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, pending = [], [of]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found
