"""Host user ids for sandboxes: each worker claims a range that no other worker of the host uses.

A claim is a lock on a file below /run/hearth, so it ends with its holder, however that ends. Workers in containers
share the host's user ids but not its folders: they see each other's claims if this folder is a volume of theirs all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
from io import FileIO
from pathlib import Path

FOLDER = Path("/run/hearth/sandbox-user-ids")
FIRST, PER_WORKER, WORKERS = 20_000, 1000, 40


def claim(folder: Path = FOLDER) -> tuple[range, FileIO]:
    """A range, held for as long as the file stays open here or in a child. For root only. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(WORKERS):
        first = FIRST + number * PER_WORKER
        with contextlib.ExitStack() as opened:
            # Close-on-exec, as all files of Python; never removed: a lock on a removed file would exclude nobody.
            file = opened.enter_context(FileIO(folder / str(first), "a"))
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                opened.pop_all()
                return range(first, first + PER_WORKER), file
    raise OSError(errno.EAGAIN, "all ranges of sandbox user ids are taken by other workers")
