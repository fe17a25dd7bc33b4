"""The folder of the files that a gateway's processes map into memory: prometheus-client's counters.

On a disk that is full the kernel kills whoever writes to such a mapping (SIGBUS), so it is in memory where it can be.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_PREFIX = "hearth-gateway-"


def new_folder(fallback: Path) -> tuple[Path, int]:
    """A folder, and the descriptor whose lock says that it is in use: by this process and those it forks.

    fallback: where it is made if this host has no file system in memory. Raises OSError.
    """
    place = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else fallback
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        descriptor = _locked(folder)
        if descriptor is not None and folder.exists():
            return folder, descriptor
        # a gateway that starts at the same moment took it for one that was left
        if descriptor is not None:
            os.close(descriptor)


def _remove_if_left(folder: Path) -> None:
    """Its gateway was killed."""
    if (descriptor := _locked(folder)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """None: somebody holds it, or it is not ours."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
