"""One folder for each gateway; what a killed one left goes when the next starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway import counter_files


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if this were the host's file system in memory."""
    monkeypatch.setattr(counter_files, "_MEMORY", tmp_path)
    return tmp_path


def test_each_gateway_has_its_own_and_leaves_the_others_alone(memory: Path) -> None:
    one, held = counter_files.new_folder(memory / "unused")
    two, also_held = counter_files.new_folder(memory / "unused")
    assert sorted(memory.iterdir()) == sorted([one, two])
    os.close(held)
    os.close(also_held)


def test_what_a_killed_gateway_left_is_removed(memory: Path) -> None:
    left, held = counter_files.new_folder(memory / "unused")
    (left / "counter_1.db").write_bytes(b"x")
    os.close(held)  # as the kernel does
    folder, held = counter_files.new_folder(memory / "unused")
    assert list(memory.iterdir()) == [folder]
    os.close(held)


def test_others_things_stay(memory: Path) -> None:
    (memory / "hearth-gateway-file").write_text("not a folder")
    (memory / "hearth-gateway-link").symlink_to(memory)
    (memory / "somebody").mkdir()
    folder, held = counter_files.new_folder(memory / "unused")
    assert len(list(memory.iterdir())) == 4
    assert folder.is_dir()
    os.close(held)


def test_without_a_file_system_in_memory_it_is_with_the_data(
    memory: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter_files, "_MEMORY", memory / "missing")
    data = tmp_path_factory.mktemp("data")
    folder, held = counter_files.new_folder(data / "run")
    assert folder.parent == data / "run"
    os.close(held)
