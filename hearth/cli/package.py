"""What `hearth deploy` uploads: a folder or a zip file, its handler found by looking."""

from __future__ import annotations

import ast
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

#: never part of a function's code
_LEFT_OUT = {"__pycache__", ".git", ".venv", "venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
_MODULES = ("app", "lambda_function", "main", "handler", "index")
_FUNCTIONS = ("handler", "lambda_handler")


class BadPackage(Exception):
    """The text says what is wrong with it and what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """`zip_bytes`: the upload. `handler`: module.function, or None if none was found."""

    zip_bytes: bytes
    handler: str | None

    @classmethod
    def of(cls, path: Path) -> Package:
        """Raises BadPackage."""
        if path.is_dir():
            data = zip_folder(path)
        elif path.is_file() and zipfile.is_zipfile(path):
            data = path.read_bytes()
        else:
            raise BadPackage(f"{path} is neither a folder nor a zip file.")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return cls(data, find_handler(archive))


def zip_folder(folder: Path) -> bytes:
    """The same content gives the same bytes: an unchanged folder is an unchanged function."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
            for name in sorted(files):
                path = Path(root, name)
                if path.suffix == ".pyc" or not path.is_file():
                    continue
                info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
                info.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes())
    if not archive.namelist():
        raise BadPackage(f"{folder} is empty.")
    return buffer.getvalue()


def find_handler(archive: zipfile.ZipFile) -> str | None:
    """The first of the customary modules that defines one of the customary functions."""
    names = set(archive.namelist())
    for module in _MODULES:
        if f"{module}.py" not in names:
            continue
        defined = _defined(archive.read(f"{module}.py"))
        for function in _FUNCTIONS:
            if function in defined:
                return f"{module}.{function}"
    return None


def _defined(source: bytes) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found
