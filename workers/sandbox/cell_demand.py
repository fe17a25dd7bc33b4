"""How many stem cells of a kind are kept ready, by what was asked for. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

#: most cells of one kind, however many are asked for: a burst's rest gets full starts
MOST = 16
#: as many as were asked for in this time are kept ready
BURST_S = 10.0
#: a kind that nobody has asked for so long is forgotten
FORGOTTEN_S = 600.0
#: kinds that functions have brought, besides the first ones
KINDS = 8
#: waiting time after a failed boot; doubles with each further one
_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 300.0


@dataclass(slots=True)
class Demand:
    """first: the kind of a runtime as such, kept although no function has asked for it."""

    first: bool = False
    asked_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST))
    failures: int = 0
    not_before_s: float = 0.0

    def asked(self, now_s: float) -> None:
        self.asked_s.append(now_s)

    def failed(self, now_s: float) -> None:
        self.not_before_s = now_s + min(_PAUSE_S * 2**self.failures, _LONGEST_PAUSE_S)
        self.failures += 1

    def wanted(self, base: int, now_s: float) -> int:
        """base: ready cells of a kind in use (HEARTH_STEM_CELLS)."""
        if not self.asked_s or now_s - self.asked_s[-1] > FORGOTTEN_S:
            return min(base, 1) if self.first else 0
        burst = sum(1 for asked_s in self.asked_s if now_s - asked_s <= BURST_S)
        return max(base, min(burst, MOST)) if base else 0


def host_is_short(meminfo: str) -> bool:
    """From /proc/meminfo: less than a tenth of the host's memory is left."""
    figures = {line.partition(":")[0]: int(line.split()[1]) for line in meminfo.splitlines() if ":" in line}
    return figures.get("MemAvailable", 1) * 10 < figures.get("MemTotal", 0)
