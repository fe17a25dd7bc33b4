"""Sums of billing records."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from hearth.logs.bills import totals
from workers.billing import billed_ms


def record(function: str, billed: int, memory: int = 1024, **more: object) -> bytes:
    base = {"account": "0", "region": "r", "function": function, "billed_ms": billed, "memory_mb": memory}
    return orjson.dumps(base | {"status": "success", "cold": False} | more) + b"\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for day, writer, lines in (
        ("2026-11-24", "a", [record("f", 500), record("f", 1500, 512, status="timeout", cold=True)]),
        ("2026-11-24", "b", [record("f", 1000), record("g", 1)]),
        ("2026-11-25", "a", [record("f", 2000), b'{"function": "f", "bil']),
    ):
        folder = tmp_path / "bills" / day
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{writer}.jsonl").write_bytes(b"".join(lines))
    return tmp_path


def test_totals_are_by_function_and_day(root: Path) -> None:
    found = totals(root)
    assert [(one.day, one.function, one.invocations, one.billed_ms) for one in found] == [
        ("2026-11-24", "f", 3, 3000),
        ("2026-11-24", "g", 1, 1),
        ("2026-11-25", "f", 1, 2000),
    ]
    assert (found[0].errors, found[0].cold_starts, found[0].gb_seconds) == (1, 1, 0.5 + 0.75 + 1.0)


def test_totals_of_one_function_or_day_are_those_alone(root: Path) -> None:
    assert [one.day for one in totals(root, function="f")] == ["2026-11-24", "2026-11-25"]
    assert [one.function for one in totals(root, day="2026-11-24")] == ["f", "g"]
    assert totals(root / "nothing") == []


def test_init_is_billed_with_the_invocation_where_it_is_billed_at_all() -> None:
    assert [billed_ms(1.2), billed_ms(1.2, None), billed_ms(1.2, 100.5)] == [2, 2, 102]
