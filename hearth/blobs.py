"""The code store: packages named by their SHA-256, in a directory that every host of the platform can read.

A blob never changes, so a reader needs no lock; it is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


class BlobStore:
    """Blocking: callers on an event loop use a thread. `root` is made at the first put."""

    def __init__(self, root: Path) -> None:
        self._root = root / "sha256"

    def put(self, data: bytes) -> str:
        """Store a blob durably; its SHA-256 in hex. Storing it again is harmless. Raises OSError."""
        sha256 = hashlib.sha256(data).hexdigest()
        target = self.path(sha256)
        if target.exists():
            return sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".put-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # Workers may run as another user than the gateway.
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)
        return sha256

    def path(self, sha256: str) -> Path:
        """Where a blob is, or would be."""
        return self._root / sha256[:2] / sha256


def _sync_directory(directory: Path) -> None:
    """A rename survives a crash only once its directory is on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
