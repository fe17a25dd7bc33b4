"""How fast a streamed response may go out: AWS's token bucket. Pure.

The first 6 MiB go at once, then 2 MiB a second, in steps of 125 ms. A piece that is larger than what is left goes whole
and is owed. Source: Lambda Developer Guide, "Response streaming", bandwidth limits.
"""

from __future__ import annotations

import math

BURST_BYTES = 6 << 20
STEP_S = 0.125


class StreamRate:
    """One response's. per_second: bytes; 0 for no limit."""

    def __init__(self, per_second: int, now_s: float) -> None:
        self._per_step = per_second * STEP_S
        self._left = float(BURST_BYTES)
        self._began_s = now_s
        self._steps = 0

    def take(self, size: int, now_s: float) -> float:
        """So many bytes go out now; seconds until more may: 0.0 at once."""
        if not self._per_step:
            return 0.0
        steps = int((now_s - self._began_s) / STEP_S)
        self._left = min(BURST_BYTES, self._left + (steps - self._steps) * self._per_step) - size
        self._steps = steps
        if self._left > 0:
            return 0.0
        needed = math.floor(-self._left / self._per_step) + 1
        return self._began_s + (steps + needed) * STEP_S - now_s
