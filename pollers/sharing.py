"""Who does what: a partition's room among functions, mappings' units among pollers. Pure."""

from __future__ import annotations

import enum
import functools
import hashlib
from collections import Counter
from collections.abc import Iterable


class Place(enum.Enum):
    RUN = "run"
    #: into the function's queue aside, so that it holds up nobody else
    ASIDE = "aside"


def place_of(*, running: int, share: int, held: int, room: int) -> Place:
    """Where an event goes that comes from its partition's common queues.

    running: events of its function that run, from there or from its queue aside; share: how many may. What is aside
    runs up to the share, so that a function with fewer has nothing waiting there, and its events are spared the way.
    held, room: events of all functions that run from the common queues; beyond the room these would stand still behind
    those that run long.
    """
    if running >= share or held >= room:
        return Place.ASIDE
    return Place.RUN


def shared_out(units: Iterable[str], living: Iterable[str]) -> dict[str, str]:
    """Unit -> the poller that is to run it: evenly, and little moves when a unit or a poller comes or goes.

    All pollers that know the same units and pollers answer the same. living: at least one.
    """
    pollers, ordered = sorted(set(living)), sorted(set(units))
    most = -(-len(ordered) // len(pollers))
    owners: dict[str, str] = {}
    loads: Counter[str] = Counter()
    for unit in ordered:
        free = (poller for poller in pollers if loads[poller] < most)
        owner = owners[unit] = max(free, key=lambda poller: _rank(unit, poller))
        loads[owner] += 1
    return owners


@functools.lru_cache(maxsize=100_000)  # asked several times a second
def _rank(unit: str, poller: str) -> bytes:
    """Rendezvous hashing: each unit has an order of its own among the pollers."""
    return hashlib.blake2b(f"{unit}|{poller}".encode(), digest_size=8).digest()
