"""The platform's own log, on stderr: JSON records for programs, one readable line for people.

JSON when stderr is not a terminal or when `hearth up` collects it (HEARTH_STACK). The fields of `extra=` are kept
in both. A record's members: t (ISO 8601, UTC), level, logger, message, the extra fields, exception (text).
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

from hearth.settings import Settings

#: what every LogRecord has; the rest came by `extra=`
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(settings: Settings) -> None:
    """Once, at the start of a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.stack or not sys.stderr.isatty() else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for chatty in ("pika", "botocore", "asyncio", "urllib3"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def fields_text(fields: dict[str, Any]) -> str:
    """` key=value key=value`, without `action`, which repeats the message for programs."""
    return "".join(f" {name}={value}" for name, value in fields.items() if name != "action" and value is not None)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "t": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extra_of(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        text = (
            f"{clock} {record.levelname.lower():7} {record.name}: {record.getMessage()}{fields_text(extra_of(record))}"
        )
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
