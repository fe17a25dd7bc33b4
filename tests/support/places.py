"""Where tests may write: .hearth-test/ in the clone, and the cache folder that outlives it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".hearth-test"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hearth"
RUNTIMES = CACHE / "runtimes"


@contextmanager
def data_folder() -> Iterator[Path]:
    """A fresh HEARTH_DATA whose runtimes are the shared ones; removed at the end."""
    RUNTIMES.mkdir(parents=True, exist_ok=True)
    SCRATCH.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="data-", dir=SCRATCH))
    (folder / "runtimes").symlink_to(RUNTIMES)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def go_environment() -> dict[str, str]:
    """For Go's tools: what they keep, their counters too, is kept in the cache folder."""
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return {
        "CGO_ENABLED": "0",
        "GOCACHE": str(CACHE / "go-build"),
        "GOENV": os.environ.get("GOENV") or str(configuration / "go" / "env"),
        "XDG_CONFIG_HOME": str(CACHE / "config"),
    }
