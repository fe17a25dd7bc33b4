"""Log groups that were made by hand: they are there before anything is written to them. Blocks: call it in a thread."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from hearth.clock import now_ms
from hearth.logs import layout

#: in the group's directory, with the time of its making (epoch ms)
MARK = ".group"


def create(root: Path, account: str, region: str, group: str) -> bool:
    """False: it exists."""
    directory = layout.group_dir(root, account, region, group)
    if made_ms(directory) is not None or any(layout.names_below(directory)):
        return False
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).write_text(str(now_ms()))
    return True


def delete(root: Path, account: str, region: str, group: str) -> bool:
    """With all that was written to it. False: it does not exist."""
    directory = layout.group_dir(root, account, region, group)
    if made_ms(directory) is None and not any(layout.names_below(directory)):
        return False
    shutil.rmtree(directory, ignore_errors=True)
    return True


def made_ms(directory: Path) -> int | None:
    """When the group of this directory was made by hand; None: it was not."""
    with contextlib.suppress(OSError, ValueError):
        return int((directory / MARK).read_text())
    return None
