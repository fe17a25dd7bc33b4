"""Pure: what a worker does next about requests that wait. Decided on plain values, carried out by the pool.

Order is first come, first served over all functions. A sandbox may be started while there is room; without room an
idle sandbox of another version gives way, the one idle for longest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests of one version that no starting sandbox will serve. oldest_s: arrival of the first of them."""

    key: str
    oldest_s: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class IdleSandbox:
    sandbox_id: str
    key: str
    idle_since_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """Start a sandbox of this version."""

    key: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Retire this idle sandbox; its room is free when it has ended."""

    sandbox_id: str


def next_step(
    demands: Iterable[Demand], idle: Iterable[IdleSandbox], *, used: int, leaving: int, capacity: int
) -> Start | Evict | None:
    """One step, or None: nothing waits, or nothing can be done until something ends.

    used: sandboxes that live or start, the `leaving` ones (already evicted, not yet ended) among them.
    """
    ordered = sorted(demands, key=lambda demand: demand.oldest_s)
    if not ordered:
        return None
    if used < capacity:
        return Start(ordered[0].key)
    if leaving >= sum(demand.count for demand in ordered):
        return None  # room for each of them is on its way
    wanted = {demand.key for demand in ordered}
    givers = [one for one in idle if one.key not in wanted]
    if not givers:
        return None
    return Evict(min(givers, key=lambda one: one.idle_since_s).sandbox_id)


#: A request that waits is offered to other hosts' idle sandboxes after this, then after twice that, ...
FIRST_OFFER_S = 0.05
LONGEST_OFFER_S = 2.0


def offer_after_s(waited_before_s: float) -> float:
    """How long a request is held here before it is offered back, given how long it has waited elsewhere."""
    return min(LONGEST_OFFER_S, max(FIRST_OFFER_S, waited_before_s))
