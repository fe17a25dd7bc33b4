"""The seam between a mapping's units and those who run them: one Runner a kind of source.

`pollers/mappings.py` decides which units run in this process and when they stop; a Runner knows its source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from hearth.model.mapping import EventSourceMapping, SourceKind, Unit


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a unit. Whoever writes for the unit compares `token` with `fences`' field of the unit's name,
    inside the very script that writes (KEYS: `fences`; ARGV: unit, token): a later holder's token is higher, and both
    are gone with the mapping."""

    token: int
    #: `keys.mapping_fences` of the mapping, a hash in `state`
    fences: str
    #: set: begin no further batch, finish what runs (with its checkpoint) and return
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Runner(Protocol):
    """Everything that one or more kinds of sources need. Called for several mappings and units at once.

    What a method raises is logged, shown as LastProcessingResult and tried again, later each time.
    """

    @property
    def kinds(self) -> Collection[SourceKind]: ...

    @property
    def look_again_s(self) -> float:
        """How long an answer of `units` holds, in seconds. It is asked anew sooner when a unit has ended by itself."""

    async def prepare(self, mapping: EventSourceMapping) -> None:
        """Before the mapping becomes Enabled: what was written to its source afterwards must reach the function.

        So the starting position of every shard is fixed here, where it is not yet. Twice is harmless; when it fails
        the mapping becomes Enabled without it. Bounded to PREPARE_S.
        """

    async def units(self, mapping: EventSourceMapping) -> list[str]:
        """Names of the units that are to run now: not finished, and nothing before them left. Equal in all pollers."""

    async def run(self, unit: Unit, lease: Lease) -> None:
        """Until the unit is finished (the end of a closed shard) or `lease.stopping` is set.

        Cancelled: stop now, without a checkpoint for what is not done; the lease is another's, or patience is over.
        """


#: the longest that `Runner.prepare` and `Runner.units` may take
PREPARE_S = 10.0
