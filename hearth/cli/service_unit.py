"""A service (gateway, fleet) as a child process of `hearth up`: `hearth serve NAME` with resolved settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from hearth.embedded.process import OnLine, Process, until_ready
from hearth.embedded.unit import ProcessUnit
from hearth.settings import PREFIX, Settings

#: time to import, connect and answer; a loaded machine with cold caches needs most of it
_START_S = 60.0


class ServiceUnit(ProcessUnit):
    """`ready` is asked until it says yes; then start() returns."""

    def __init__(self, name: str, settings: Settings, ready: Callable[[], Awaitable[bool]], on_line: OnLine) -> None:
        self.name = name
        self._settings = settings
        self._ready = ready
        self._on_line = on_line

    async def start(self) -> None:
        self.process = await Process.start(
            self.name,
            [sys.executable, "-m", "hearth.cli", "serve", self.name],
            env=environment(self._settings),
            cwd=Path("/"),
            on_line=self._on_line,
        )
        await until_ready(self.process, self._ready, deadline_s=_START_S)


def environment(settings: Settings) -> dict[str, str]:
    """Ours without its HEARTH_* names, and the settings as they were resolved: the file's values among them."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    resolved = settings.to_environ()
    resolved.pop(f"{PREFIX}SETTINGS_FILE", None)
    return inherited | resolved | {"PYTHONUNBUFFERED": "1"}
