"""Where `hearth mappings rewind --to` points. Pure."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from hearth.model.mapping import Rewind, SourceKind
from hearth.model.stream import SequenceNumber, shard_id

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: shorter numbers are times (epoch seconds)
_SEQUENCE_NUMBER = re.compile(r"\d{15,}")


def rewind_to(text: str, kind: SourceKind, now_ms: int, *, shard: str = "") -> Rewind:
    """text: `start`, `10m` (that long ago), epoch seconds, an ISO time (UTC unless it says otherwise), or a sequence
    number. shard: of the sequence number; Kinesis numbers say it themselves. Raises ValueError with what to do."""
    if _SEQUENCE_NUMBER.fullmatch(text):
        return Rewind(uuid.uuid4().hex, sequence_number=text, shard_id=shard or _shard_of(text, kind))
    at_ms = _time_ms(text, now_ms)
    if at_ms > now_ms:
        raise ValueError(f"{text} is in the future")
    return Rewind(uuid.uuid4().hex, at_ms=at_ms, shard_id=shard)


def _shard_of(number: str, kind: SourceKind) -> str:
    if kind in (SourceKind.KINESIS, SourceKind.KINESIS_CONSUMER):
        try:
            return shard_id(SequenceNumber.parse(number).shard)
        except ValueError:
            pass
    raise ValueError("the sequence number does not say its shard: name it with --shard")


def _time_ms(text: str, now_ms: int) -> int:
    if text == "start":
        return 1  # before every record
    if match := re.fullmatch(r"(\d+)([smhd])", text):
        return now_ms - int(match[1]) * _UNITS_S[match[2]] * 1000
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return round(float(text) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"{text}: neither start, 10m, a time like 2026-01-31T12:00:00, nor a sequence number") from exc
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
