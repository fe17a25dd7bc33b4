"""An execution's history: its events as they are stored, and as GetExecutionHistory shows them.

The orchestrator's core writes them, its shell stores them, the gateway and the log writer read them. A stored record is
one AWS history event plus what the core needs to fold it: the frame it belongs to and `facts` that AWS does not show.
Records with id 0 are facts only (a retry was scheduled): they are folded and never shown.
Source: Step Functions API Reference, HistoryEvent.
"""

from __future__ import annotations

from typing import Any

import orjson

#: members that hold data of the execution, left out with includeExecutionData=false
DATA_MEMBERS = frozenset({"input", "output", "parameters", "assignedVariables"})

#: types whose events have no details member at all
_WITHOUT_DETAILS = frozenset({
    "LambdaFunctionStarted", "MapRunAborted", "MapRunSucceeded", "MapStateAborted", "MapStateFailed",
    "MapStateSucceeded", "ParallelStateAborted", "ParallelStateFailed", "ParallelStateStarted",
    "ParallelStateSucceeded", "TaskStateAborted", "WaitStateAborted",
})  # fmt: skip


def details_member(event_type: str) -> str | None:
    """The member of HistoryEvent that holds this type's details; None: it has none."""
    if event_type in _WITHOUT_DETAILS:
        return None
    if event_type.endswith("StateEntered"):
        return "stateEnteredEventDetails"
    if event_type.endswith("StateExited"):
        return "stateExitedEventDetails"
    return event_type[0].lower() + event_type[1:] + "EventDetails"


class HistoryEvent:
    """One event. `id` from 1, without gaps; `at_ms`: epoch milliseconds; `details`: AWS's members under AWS's names."""

    __slots__ = ("at_ms", "details", "facts", "frame", "id", "previous_id", "type", "value")

    def __init__(
        self,
        id: int,
        previous_id: int,
        type: str,
        at_ms: int,
        frame: int,
        details: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
        value: Any = None,
    ) -> None:
        self.id = id
        self.previous_id = previous_id
        self.type = type
        self.at_ms = at_ms
        #: the chain of states it belongs to: 0 for the execution's own, others for branches and iterations
        self.frame = frame
        self.details = details
        self.facts = facts
        #: what the details hold as text, already parsed; never stored, None when it has to be parsed
        self.value = value

    def dump(self) -> bytes:
        """The stored record."""
        return orjson.dumps(
            (self.id, self.previous_id, self.type, self.at_ms, self.frame, self.details, self.facts),
        )

    @classmethod
    def load(cls, record: bytes) -> HistoryEvent:
        return cls(*orjson.loads(record))

    def to_api(self, *, include_data: bool = True) -> dict[str, Any]:
        """As a member of GetExecutionHistory's `events`; timestamp in seconds."""
        shown: dict[str, Any] = {
            "timestamp": self.at_ms / 1000,
            "type": self.type,
            "id": self.id,
            "previousEventId": self.previous_id,
        }
        member = details_member(self.type)
        if member is not None:
            details = self.details or {}
            if not include_data:
                details = {name: value for name, value in details.items() if name not in DATA_MEMBERS}
            shown[member] = details
        return shown
