"""One API call on its way to an operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.backends import Backends
from gateway.caller import Caller
from gateway.http import Request


@dataclass(slots=True)
class Call:
    """What an operation knows besides its input."""

    caller: Caller
    request: Request
    request_id: str
    backends: Backends
    #: of an invocation that is answered when it has run: the trace header that goes on to it
    trace_id: str = ""
    #: headers that the service's model doesn't describe
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


#: Input and output are dicts by the service model's member names. Raises HearthError.
Operation = Callable[[Call, dict[str, Any]], Awaitable[dict[str, Any]]]
