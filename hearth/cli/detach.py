"""`hearth up --detach`: a process of its own that logs to a file; the command returns when it is ready.

The process is forked before anything is started, so it is the parent of all that follows and holds the data folder.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from rich.console import Console

from hearth.cli.console import talk
from hearth.embedded.stackfile import StackFile
from hearth.settings import Settings

_LOG_BYTES = 10 * 2**20
_LOG_FILES = 2
#: an installation of packages and runtimes on a slow line takes minutes
_READY_S = 1200.0


@dataclass(frozen=True, slots=True)
class DetachedLog:
    path: Path
    console: Console


class _Rotating:
    """A text file for rich that starts anew at a size, keeping a few old ones."""

    def __init__(self, path: Path) -> None:
        self._handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")

    def write(self, text: str) -> int:
        stream: Any = self._handler.stream
        stream.write(text)
        if text.endswith("\n") and stream.tell() > _LOG_BYTES:
            self._handler.doRollover()
        return len(text)

    def flush(self) -> None:
        self._handler.flush()


def detach(settings: Settings, record: StackFile) -> DetachedLog:
    """Returns in the new process only; the one that called it watches, tells, and exits."""
    path = settings.data / "log" / "hearth.log"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    start = path.stat().st_size if path.exists() else 0
    child = os.fork()
    if child:
        sys.exit(_watch(child, settings, path, start))
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    stray = os.open(path.with_name("stray.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for ours, theirs in ((null, 0), (stray, 1), (stray, 2)):
        os.dup2(ours, theirs)
    file: Any = _Rotating(path)
    return DetachedLog(path, Console(file=file, highlight=False, soft_wrap=True, width=120))


def _watch(child: int, settings: Settings, path: Path, start: int) -> int:
    """Show the new process's log until it is ready (0) or has ended (its status)."""
    until_s = time.monotonic() + _READY_S
    while time.monotonic() < until_s:
        start = _show(path, start)
        running = StackFile(settings.data).running
        if running and running.pid == child and running.ready:
            _show(path, start)
            talk.print(f"It goes on in the background; its log: {path}\nStop it: hearth down", markup=False)
            return 0
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _show(path, start)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    talk.print(f"Not ready after {_READY_S:.0f} s; it goes on trying. Its log: {path}", markup=False)
    return 1


def _show(path: Path, start: int) -> int:
    """What was added since; returns where it ends now."""
    if not path.exists():
        return start
    with path.open("rb") as file:
        file.seek(start)
        sys.stderr.write(file.read().decode("utf-8", "replace"))
        return file.tell()
