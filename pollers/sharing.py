"""Who does what: partitions among pollers, and a partition's room among functions. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence


def partitions_of(poller: str, living: Sequence[str], partitions: int) -> set[int]:
    """The partitions that this poller is to hold. Every partition has one of the living pollers, evenly."""
    ordered = sorted(set(living) | {poller})
    return {number for number in range(partitions) if ordered[number % len(ordered)] == poller}


class Place(enum.Enum):
    RUN = "run"
    #: into the function's queue aside, so that it holds up nobody else
    ASIDE = "aside"


def place_of(*, running: int, share: int, held: int, room: int, has_aside: bool) -> Place:
    """Where an event goes that comes from its partition's common queues.

    running: events of its function that run from there; share: how many may. held, room: the same over all functions;
    beyond the room the common queues would stand still behind those that run long. A function with a queue aside has
    its share there.
    """
    if has_aside or running >= share or held >= room:
        return Place.ASIDE
    return Place.RUN
