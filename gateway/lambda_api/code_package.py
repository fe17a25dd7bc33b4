"""Deployment packages: a zip as it came in, judged before it is stored; workers unpack what passed here.

Limits: Lambda quotas, "Deployment package (.zip file archive) size". Messages: recorded from AWS.
"""

from __future__ import annotations

import io
import posixpath
import stat
import zipfile
import zlib

from hearth.errors import InvalidParameterValue, RequestEntityTooLarge
from hearth.limits import AWS_LIMITS

#: of files and directories: as many as fit in 250 MB at one block each
MAX_ENTRIES = 64_000
_MAX_LINK_BYTES = 4096
#: all bits set, as Maven writes directories of whose mode it knows nothing
_UNKNOWN = 0o170000

_BAD_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


def check_package(data: bytes, most_bytes: int = AWS_LIMITS.unzipped_bytes) -> int:
    """Bytes that it unpacks to.

    Raises InvalidParameterValue for what is no zip, unpacks to too much, or reaches outside its folder.
    """
    if not data:
        raise InvalidParameterValue("Uploaded file must be a non-empty zip")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            # Declared sizes bound what zipfile ever yields, so a bomb can't hide behind small ones.
            unzipped_bytes = sum(entry.file_size for entry in entries)
            if unzipped_bytes > most_bytes:
                raise InvalidParameterValue(f"Unzipped size must be smaller than {most_bytes} bytes")
            if not entries:
                raise InvalidParameterValue("Uploaded file must be a non-empty zip")
            if len(entries) > MAX_ENTRIES or not all(_stays_inside(archive, entry) for entry in entries):
                raise InvalidParameterValue(_BAD_ZIP)
            if archive.testzip() is not None:
                raise InvalidParameterValue(_BAD_ZIP)
            return unzipped_bytes
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as exc:
        # RuntimeError: encrypted; NotImplementedError: a compression that Python lacks
        raise InvalidParameterValue(_BAD_ZIP) from exc


def _stays_inside(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Neither the entry's name nor, for a symbolic link, its target may lead out of the package's folder."""
    name = entry.filename
    if not name or "\\" in name or _escapes(name):
        return False
    mode = entry.external_attr >> 16
    if not stat.S_ISLNK(mode):
        return stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR, _UNKNOWN)
    if entry.file_size > _MAX_LINK_BYTES:
        return False
    target = archive.read(entry).decode("utf-8", "replace")
    return not target.startswith("/") and not _escapes(posixpath.join(posixpath.dirname(name), target))


def _escapes(path: str) -> bool:
    return path.startswith("/") or posixpath.normpath(path).split("/")[0] == ".." or "\0" in path


def check_zipped_size(data: bytes, most_bytes: int = AWS_LIMITS.zipped_bytes) -> None:
    if len(data) > most_bytes:
        raise RequestEntityTooLarge(f"Zipped size must be smaller than {most_bytes} bytes")
