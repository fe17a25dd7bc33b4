"""Settings as they are written: where a value stands, before anybody checks it.

`hearth.settings` checks all of them, which takes a third of a second of a processor's time to begin with; what runs
every few seconds (`hearth alive`) reads the few that it needs here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PREFIX = "HEARTH_"
DEFAULT_PORT = 4566
DEFAULT_BIND = "127.0.0.1"
_FILE = re.compile(r"\$\{file:([^}]+)\}")


def written(name: str) -> str | None:
    """HEARTH_<NAME>, else what the settings file says of it; None: neither does. Raises OSError, ValueError."""
    if value := os.environ.get(PREFIX + name.upper()):
        return with_files(value)
    file = os.environ.get(PREFIX + "SETTINGS_FILE")
    if not file:
        return None
    import tomllib

    value = tomllib.loads(Path(file).read_text()).get(name)
    return None if value is None else with_files(str(value))


def with_files(value: str) -> str:
    """Each ${file:PATH} replaced by what the file holds, without white space around it. Raises ValueError."""

    def content(found: re.Match[str]) -> str:
        path = Path(found[1])
        try:
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ValueError(f"{path} can't be read: {getattr(exc, 'strerror', exc)}") from exc
        if not text:
            raise ValueError(f"{path} is empty")
        return text

    return _FILE.sub(content, value)
