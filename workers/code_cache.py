"""Function code of this host, unpacked once per sha256 and shared read-only by every sandbox.

A package comes from the directory of blobs, or by `download` where this host has no such directory. Packages were
checked when they were uploaded; here the hash is verified again and nothing may leave its folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from hearth.blobs import BlobStore
from hearth.errors import Unavailable


class CodeCache:
    """`root`/<sha256>: the unpacked package, readable by everyone, writable by nobody but us."""

    def __init__(self, root: Path, blobs: BlobStore, download: Callable[[str], bytes] | None = None) -> None:
        """download(sha256): blocking; raises Unavailable."""
        self._root = root
        self._blobs = blobs
        self._download = download
        self._unpacking: dict[str, asyncio.Task[Path]] = {}

    async def fetch(self, sha256: str) -> Path:
        """Raises Unavailable if the package is missing or damaged."""
        return await self._once(sha256, (sha256,))

    async def fetch_layers(self, sha256s: tuple[str, ...]) -> Path | None:
        """Layers merged in their order, a later one's files over an earlier one's; None for no layer.

        Raises Unavailable.
        """
        if not sha256s:
            return None
        name = "layers-" + hashlib.sha256("".join(sha256s).encode()).hexdigest()
        return await self._once(name, sha256s)

    async def _once(self, name: str, sha256s: tuple[str, ...]) -> Path:
        target = self._root / name
        if target.is_dir():
            return target
        task = self._unpacking.get(name)
        if task is None:
            # owner: this dict; the last of its waiters ends with it
            task = asyncio.create_task(asyncio.to_thread(self._unpack, sha256s, target), name=f"unpack-{name[:15]}")
            self._unpacking[name] = task
            task.add_done_callback(lambda _task: self._unpacking.pop(name, None))
        return await asyncio.shield(task)

    def _unpack(self, sha256s: tuple[str, ...], target: Path) -> Path:
        self._root.mkdir(parents=True, exist_ok=True)
        packages = [self._verified(sha256) for sha256 in sha256s]
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name[:15]}-", dir=self._root))
        try:
            scratch.chmod(0o755)
            for package in packages:
                with zipfile.ZipFile(io.BytesIO(package)) as archive:
                    for entry in archive.infolist():
                        _extract(archive, entry, scratch)
            os.rename(scratch, target)  # another worker of this host may have been first
        except (OSError, zipfile.BadZipFile) as exc:
            shutil.rmtree(scratch, ignore_errors=True)
            if not target.is_dir():
                raise Unavailable(f"code {target.name} can't be unpacked: {exc}") from exc
        return target

    def _verified(self, sha256: str) -> bytes:
        package = self._package(sha256)
        digest = hashlib.sha256(package).hexdigest()
        if digest != sha256:
            raise Unavailable(f"code {sha256} is damaged: it hashes to {digest}")
        return package

    def _package(self, sha256: str) -> bytes:
        try:
            return self._blobs.path(sha256).read_bytes()
        except FileNotFoundError as exc:
            if self._download is None:
                raise Unavailable(f"code {sha256} can't be read: {exc}") from exc
            return self._download(sha256)
        except OSError as exc:
            raise Unavailable(f"code {sha256} can't be read: {exc}") from exc


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, root: Path) -> None:
    mode = entry.external_attr >> 16
    if stat.S_ISLNK(mode):
        destination = root / entry.filename
        link = archive.read(entry).decode()
        if not (destination.parent / link).resolve().is_relative_to(root.resolve()):
            raise zipfile.BadZipFile(f"the link {entry.filename} leads out of the package")
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.unlink(missing_ok=True)  # an earlier layer's
        destination.symlink_to(link)
        return
    if (root / entry.filename).is_symlink():
        (root / entry.filename).unlink()
    path = Path(archive.extract(entry, root))  # strips drive letters, absolute and `..` parts
    path.chmod(0o755 if path.is_dir() or mode & 0o111 else 0o644)
