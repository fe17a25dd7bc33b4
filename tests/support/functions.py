"""Builders of function packages."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path


def zip_of(source: str | None = None, **files: str | bytes) -> bytes:
    """A package with app.py = `source`; more files by name, where `__` stands for a dot: data__json="{}"."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        if source is not None:
            archive.writestr("app.py", source)
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def zip_of_folder(folder: Path) -> bytes:
    """A package with everything in a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


ECHO = "def handler(event, context):\n    return event\n"
