"""Who does what: a partition's room among functions. Pure."""

from __future__ import annotations

import enum


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
