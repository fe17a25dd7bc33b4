"""The configuration of a function URL, as it lies beside its function (`Beside.URL`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson

BUFFERED = "BUFFERED"
RESPONSE_STREAM = "RESPONSE_STREAM"
IAM = "AWS_IAM"


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    id: str
    #: NONE or AWS_IAM
    auth_type: str
    created_ms: int
    modified_ms: int
    #: "" while none was given, which means BUFFERED
    invoke_mode: str = ""
    #: the members of AWS's Cors; None: no rules
    cors: dict[str, Any] | None = None

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> FunctionUrl:
        return cls(**orjson.loads(data))
