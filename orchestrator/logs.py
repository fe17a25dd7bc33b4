"""Executions' events as lines of a log group, at the level that the machine's logging configuration asks for.

Source: Step Functions Developer Guide, "Using CloudWatch Logs to log execution history"; the lines' form as recorded.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from hearth.clock import iso_time
from hearth.logs.writer import GroupKey, LogWriter
from hearth.model.execution import Execution, Snapshot
from hearth.model.history import DATA_MEMBERS, HistoryEvent, details_member
from hearth.settings import Settings

_FATAL = frozenset({"ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"})
#: of an event's details, beside data: what is left out with the data
_DATA_DETAILS = frozenset({"inputDetails", "outputDetails", "assignedVariablesDetails"})


class ExecutionLogs:
    """One per process; make it inside a running event loop, `close` writes what is left."""

    def __init__(self, settings: Settings) -> None:
        self._id = uuid.uuid4().hex[:12]
        self._writer = LogWriter(settings.blobs_dir, writer_id=self._id, retention_days=settings.log_retention_days)

    def write(self, execution: Execution, snapshot: Snapshot, redrives: int, events: Sequence[HistoryEvent]) -> None:
        """Never waits, never fails."""
        logging = snapshot.logging
        level = logging.get("level", "OFF")
        if level == "OFF" or not logging.get("destinations"):
            return
        arn = logging["destinations"][0].get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "")
        parts = arn.split(":", 6)
        if len(parts) < 7:
            return
        group = GroupKey(parts[4], parts[3], parts[6].removesuffix(":*"))
        with_data = logging.get("includeExecutionData", False)
        for event in events:
            if event.id and wanted(level, event.type):
                line = orjson.dumps(line_of(execution.arn, redrives, event, with_data=with_data)).decode()
                self._writer.append(group, stream_of(snapshot, self._id), event.at_ms, line)

    async def close(self) -> None:
        await self._writer.close()


def wanted(level: str, event_type: str) -> bool:
    if level == "ALL":
        return True
    if level == "FATAL":
        return event_type in _FATAL
    return (
        event_type in _FATAL
        or event_type == "FailStateEntered"
        or event_type.endswith(("Failed", "TimedOut", "Aborted"))
    )


def line_of(arn: str, redrives: int, event: HistoryEvent, *, with_data: bool) -> dict[str, Any]:
    """As AWS writes it: numbers as texts."""
    details = event.details or {}
    if not with_data:
        hidden = DATA_MEMBERS | _DATA_DETAILS
        details = {name: value for name, value in details.items() if name not in hidden}
    line = {
        "id": str(event.id),
        "type": event.type,
        "details": details,
        "previous_event_id": str(event.previous_id),
        "event_timestamp": str(event.at_ms),
        "execution_arn": arn,
        "redrive_count": str(redrives),
    }
    if details_member(event.type) is None:
        del line["details"]
    return line


def stream_of(snapshot: Snapshot, writer_id: str) -> str:
    """One for a machine's revision and a writer: a stream's lines come from one process."""
    minute = iso_time(snapshot.updated_at_ms)[:16].replace("T", "-").replace(":", "-")
    mark = hashlib.sha256(f"{snapshot.machine_arn} {writer_id}".encode()).hexdigest()[:8]
    return f"states/{snapshot.name}/{minute}/{mark}"
