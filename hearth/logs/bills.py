"""Sums of the billing records that workers write: <root>/bills/<YYYY-MM-DD>/<writer>.jsonl.

Blocking: it reads files, which may grow meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(slots=True)
class Total:
    """One function's bill for one day. day: YYYY-MM-DD, UTC. gb_seconds: billed time x memory."""

    day: str
    account: str
    region: str
    function: str
    invocations: int = 0
    errors: int = 0
    cold_starts: int = 0
    billed_ms: int = 0
    gb_seconds: float = 0.0


def totals(root: Path, *, function: str | None = None, day: str | None = None) -> list[Total]:
    """By day, then function. root: the blob root (`Settings.blobs_dir`)."""
    found: dict[tuple[str, str, str, str], Total] = {}
    for date, file in _files(root / "bills", day):
        for line in file.read_bytes().splitlines():
            try:
                record = orjson.loads(line)
                key = (date, record["account"], record["region"], record["function"])
                billed_ms, memory_mb = int(record["billed_ms"]), int(record["memory_mb"])
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                continue  # being written at this moment, or cut by a crash
            if function not in (None, record["function"]):
                continue
            total = found.setdefault(key, Total(*key))
            if record.get("status") != "init":  # that of a provisioned sandbox belongs to no invocation
                total.invocations += 1
                total.errors += record.get("status") != "success"
                total.cold_starts += bool(record.get("cold"))
            total.billed_ms += billed_ms
            total.gb_seconds += billed_ms / 1000 * memory_mb / 1024
    return [found[key] for key in sorted(found)]


def _files(bills: Path, day: str | None) -> Iterator[tuple[str, Path]]:
    pattern = f"{day}/*.jsonl" if day else "*/*.jsonl"
    return ((path.parent.name, path) for path in sorted(bills.glob(pattern)))
