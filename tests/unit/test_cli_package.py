from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from hearth.cli.package import BadPackage, Package, zip_folder
from tests.support.functions import zip_of


def names(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def handler(e, c): pass")
    first = zip_folder(tmp_path)
    os.utime(tmp_path / "app.py", (1, 1))
    assert zip_folder(tmp_path) == first


def test_caches_and_environments_are_left_out(tmp_path: Path) -> None:
    for name in ("app.py", "lib/a.py", "__pycache__/app.pyc", ".venv/x.py", ".git/config", "old.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert names(zip_folder(tmp_path)) == ["app.py", "lib/a.py"]


def test_executable_files_stay_executable(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o700)
    info = zipfile.ZipFile(io.BytesIO(zip_folder(tmp_path))).getinfo("run")
    assert info.external_attr >> 16 == 0o755


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"app__py": "def handler(e, c): pass"}, "app.handler"),
        (
            {"app__py": "x = 1", "lambda_function__py": "def lambda_handler(e, c): pass"},
            "lambda_function.lambda_handler",
        ),
        ({"main__py": "from impl import run as handler"}, "main.handler"),
        ({"app__py": "handler = make()"}, "app.handler"),
        ({"app__py": "def handler(:"}, None),
        ({"other__py": "def handler(e, c): pass"}, None),
    ],
)
def test_handler_is_found_in_the_customary_modules(tmp_path: Path, files: dict[str, str], handler: str | None) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(zip_of(None, **files))
    assert Package.of(archive).handler == handler


def test_empty_folder_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadPackage, match="is empty"):
        Package.of(tmp_path)
    (tmp_path / "text").write_text("x")
    with pytest.raises(BadPackage, match="neither a folder nor a zip file"):
        Package.of(tmp_path / "text")
