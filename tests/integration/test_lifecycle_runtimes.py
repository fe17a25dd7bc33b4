"""Interpreters of this host, and the runtime clients installed for them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hearth.settings import Settings
from workers import runtimes
from workers.runtimes import java, language, nodejs, python


@pytest.fixture
def only_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without boto3: a tenth of the download."""
    monkeypatch.setattr(python, "PACKAGES", ("awslambdaric>=3",))


async def test_the_python_we_run_on_is_found_at_its_real_place() -> None:
    found = await python.Python().find()
    ours = found[f"python{sys.version_info.major}.{sys.version_info.minor}"]
    assert Path(ours.executable).parent.parent == Path(ours.prefix)
    assert ".venv" not in ours.executable
    assert all(tuple(map(int, one.version.split(".")))[:2] >= python.OLDEST for one in found.values())


async def test_what_is_prepared_is_not_prepared_again(data_dir: Path) -> None:
    settings = Settings(data=data_dir)
    await runtimes.prepare(settings, lambda text: None)
    said: list[str] = []
    await runtimes.prepare(settings, said.append)
    assert said == []
    for one in (python.Python(), nodejs.Nodejs(), java.Java()):
        assert set(one.installed(settings.runtimes_dir)) >= set(await one.find())


@pytest.mark.usefixtures("only_the_client")
async def test_an_interpreter_without_pip_gets_its_client_from_ours(tmp_path: Path) -> None:
    *_, other = (await python.Python().find()).values()
    await python.Python()._install(replace(other, has_pip=False), tmp_path / other.family)
    runtime = python.Python().installed(tmp_path)[other.family]
    assert runtime.command("app.handler")[1:] == ("/var/runtime/bootstrap.py", "app.handler")
    assert await language.run((other.executable, "-c", _IMPORT.format(tmp_path / other.family)), 30) == "ok\n"
    assert oct((tmp_path / other.family).stat().st_mode)[-3:] == "755"


async def test_a_version_that_fails_is_left_out_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "PACKAGES", (f"{tmp_path}/absent.whl",))
    said: list[str] = []
    await python.Python().prepare(tmp_path, said.append)
    assert sum("is left out" in text for text in said) == len(await python.Python().find())
    assert (python.Python().installed(tmp_path), os.listdir(tmp_path)) == ({}, [])


_IMPORT = "import sys; sys.path.insert(0, '{}'); import awslambdaric.bootstrap; print('ok')"
