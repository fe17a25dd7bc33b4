"""RFC 3339 timestamps as Amazon States Language takes them: a capital T, a zone, fractions of a second if wanted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_PATTERN = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def parse_timestamp(text: str) -> datetime | None:
    """The moment, or None if the text is no such timestamp."""
    found = _PATTERN.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    microsecond = int((fraction or "0").ljust(6, "0")[:6])
    try:
        offset: timezone = UTC
        if zone != "Z":
            minutes = int(zone[1:3]) * 60 + int(zone[4:6])
            offset = timezone(timedelta(minutes=minutes if zone[0] == "+" else -minutes))
        return datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), microsecond, tzinfo=offset
        )
    except ValueError:
        return None


def timestamp_ms(text: str) -> int | None:
    """Epoch ms."""
    moment = parse_timestamp(text)
    return None if moment is None else round(moment.timestamp() * 1000)
