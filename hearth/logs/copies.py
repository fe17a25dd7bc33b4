"""Copies of other hosts' log and bill segments: appended piece by piece, and never twice.

A segment only grows, and only one host has its original, so its copy is always the original's beginning. The copy's
length says what is still to come, whoever asks and however often.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hearth.logs.layout import SUFFIX

#: folders below the blob root that hold segments
FOLDERS = ("logs", "bills")


def is_segment(name: str) -> bool:
    """Whether a name below the blob root may be that of a segment; false for one that leads elsewhere."""
    parts = name.split("/")
    return (
        len(parts) > 1
        and parts[0] in FOLDERS
        and name.endswith(SUFFIX)
        and "\0" not in name
        and not any(part in ("", ".", "..") for part in parts)
    )


def append_piece(root: Path, name: str, offset: int, data: bytes) -> int:
    """Bring in the part of `data` (which begins at `offset` of the original) that the copy lacks; its length then.

    A length below `offset`: pieces before this one are missing, and nothing was written. Raises OSError.
    """
    path = root / name
    if offset and not path.exists():
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # a piece that is sent again may meet the first attempt, in another process
        size = os.fstat(fd).st_size
        if size < offset:
            return size
        view = memoryview(data)[size - offset :]
        try:
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            os.ftruncate(fd, size)
            raise
        return os.fstat(fd).st_size
    finally:
        os.close(fd)
