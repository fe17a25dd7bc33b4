"""How events of a function, called by one of its qualifiers, are retried, and where their records go.

Source: Lambda API reference, PutFunctionEventInvokeConfig.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class EventInvokeConfig:
    """None: not set, AWS's defaults hold. Destinations are ARNs, empty: none."""

    modified_at_ms: int
    max_retries: int | None = None
    max_age_s: int | None = None
    on_success: str = ""
    on_failure: str = ""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> EventInvokeConfig:
        raw: dict[str, Any] = orjson.loads(data)
        return cls(**{name: raw[name] for name in cls.__slots__ if name in raw})
