"""Deletes log segments that nothing was written to for the retention."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from hearth.logs.layout import SUFFIX

_DAY_S = 86_400


def sweep(root: Path, days: int, *, now_s: float | None = None) -> int:
    """Returns how many segments were deleted. Empty stream and group directories go with them."""
    before_s = (time.time() if now_s is None else now_s) - days * _DAY_S
    deleted = 0
    for directory, _, files in os.walk(root / "logs", topdown=False):
        for name in files:
            deleted += name.endswith(SUFFIX) and _delete_if_older(os.path.join(directory, name), before_s)
        # Refused while anything is inside; the top stays for the writers.
        if Path(directory) != root / "logs":
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    return deleted


def _delete_if_older(path: str, before_s: float) -> bool:
    # Another worker may sweep the same directory at the same moment.
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path).st_mtime < before_s:
            os.unlink(path)
            return True
    return False
