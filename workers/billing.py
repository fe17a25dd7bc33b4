"""One billing record per invocation, and per Init ahead of them, in <root>/bills/<YYYY-MM-DD>/<writer id>.jsonl.

Billed is the Duration rounded up to a whole millisecond, at least one. Init is not billed on demand, unless the
platform bills as AWS does since August 2025; under provisioned concurrency it is, in a record of its own.
"""

from __future__ import annotations

import functools
import logging
import math
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from hearth.logs.batch import FLUSH_S, BatchWriter, append_file
from hearth.model.function import FunctionVersion

log = logging.getLogger(__name__)

#: unwritten records kept in memory while the disk fails, at about _RECORD_BYTES each
_LIMIT_BYTES = 32 << 20
_RECORD_BYTES = 400
_DAY_MS = 24 * 3600 * 1000
#: status of the bill for an Init ahead of requests, which belongs to none of them
INIT = "init"


class Bill(NamedTuple):
    """`t` epoch ms of the end; `init_ms` 0 unless `cold`; `status` success, error, timeout, failure, or INIT, which
    belongs to no request."""

    t: int
    version: FunctionVersion
    request_id: str
    billed_ms: int
    init_ms: float
    cold: bool
    status: str


def billed_ms(duration_ms: float, init_ms: float | None = None) -> int:
    """init_ms: of the Init to be billed with this invocation."""
    return max(1, math.ceil(duration_ms + (init_ms or 0.0)))


class BillWriter:
    """Make it inside a running event loop; `close` flushes. `append` is cheap and never fails."""

    def __init__(self, root: Path, *, writer_id: str | None = None, flush_s: float = FLUSH_S) -> None:
        self._root, self._id = root / "bills", writer_id or uuid.uuid4().hex[:12]
        self._batches: BatchWriter[Bill] = BatchWriter(
            self._write, name="bills", limit_bytes=_LIMIT_BYTES, flush_s=flush_s
        )

    def append(self, bill: Bill) -> None:
        self._batches.add(bill, _RECORD_BYTES)

    async def close(self) -> None:
        await self._batches.close()

    def _write(self, bills: Sequence[Bill]) -> list[Bill]:
        days: dict[str, list[Bill]] = {}
        for bill in bills:
            days.setdefault(_day(bill.t // _DAY_MS), []).append(bill)
        unwritten: list[Bill] = []
        for day, records in days.items():
            path = self._root / day / f"{self._id}.jsonl"
            try:
                append_file(path, b"".join(map(_line, records)))
            except OSError as exc:
                log.error("bills not written", extra={"action": "bills_failing", "reason": str(exc)})
                unwritten += records
        return unwritten


@functools.lru_cache(maxsize=4)
def _day(number: int) -> str:
    """YYYY-MM-DD of a day counted from the epoch."""
    return datetime.fromtimestamp(number * _DAY_MS / 1000, UTC).strftime("%Y-%m-%d")


def _line(bill: Bill) -> bytes:
    version = bill.version
    record = {
        "t": bill.t,
        "account": version.account,
        "region": version.region,
        "function": version.name,
        "version": version.version,
        "request_id": bill.request_id,
        "billed_ms": bill.billed_ms,
        "memory_mb": version.memory_mb,
        "init_ms": round(bill.init_ms, 2),
        "cold": bill.cold,
        "status": bill.status,
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
