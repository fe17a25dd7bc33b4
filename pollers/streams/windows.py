"""Tumbling windows: which one a record is of, what of it an event says, and what the answer's state becomes. Pure.

Windows are aligned to multiples of their length and go by arrival time. The state is handed from batch to batch and
ends with the window's last, final invocation.
Source: Lambda Developer Guide, tumbling windows; members as recorded from AWS.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

#: of the state, as JSON; a window with a larger one ends early
MAX_STATE_BYTES = 2**20


class NoState(ValueError):
    """The answer carries no state: the invocation counts as failed."""


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """start_ms: epoch ms. state: JSON."""

    start_ms: int
    state: bytes = b"{}"

    @property
    def too_large(self) -> bool:
        return len(self.state) > MAX_STATE_BYTES

    def after(self, answer: bytes) -> OpenWindow:
        """With the state of a function's answer. Raises NoState."""
        try:
            document = orjson.loads(answer)
        except orjson.JSONDecodeError as exc:
            raise NoState("the answer is no JSON") from exc
        state = document.get("state") if isinstance(document, dict) else None
        if not isinstance(state, dict):
            raise NoState("the answer has no state")
        return OpenWindow(self.start_ms, orjson.dumps(state))

    def to_json(self) -> dict[str, Any]:
        return {"start": self.start_ms, "state": self.state.decode()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> OpenWindow:
        return cls(data["start"], data["state"].encode())


def start_of(arrival_ms: int, length_s: int) -> int:
    return arrival_ms - arrival_ms % (length_s * 1000)


def window_members(
    window: OpenWindow, length_s: int, shard_id: str, source_arn: str, *, final: bool = False, early: bool = False
) -> bytes:
    """What an event has beside its Records, JSON without the first brace."""
    end_ms = window.start_ms + length_s * 1000
    members = {
        "window": {"start": _iso(window.start_ms), "end": _iso(end_ms)},
        "state": orjson.Fragment(window.state),
        "shardId": shard_id,
        "eventSourceARN": source_arn,
        "isFinalInvokeForWindow": final,
        "isWindowTerminatedEarly": early,
    }
    return orjson.dumps(members)[1:]


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
