"""SECURITY.md names a test in every line of its tables, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def _rows() -> list[str]:
    lines = (_ROOT / "SECURITY.md").read_text().splitlines()
    return [line for line in lines if line.startswith("| ") and not line.endswith("| the test |")]


def test_every_threat_names_the_test_that_tries_it() -> None:
    rows = [row for row in _rows() if not row.startswith("| ---")]
    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"`test_\w+\.py::test_\w+` \|$", row)] == []


def test_every_test_that_is_named_exists() -> None:
    files = {path.name: path.read_text() for path in (_ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", "\n".join(_rows()))
    assert [f"{file}::{name}" for file, name in named if f"def {name}(" not in files.get(file, "")] == []
