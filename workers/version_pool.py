"""One version's sandboxes and waiting requests, as a worker has them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from hearth.model.function import FunctionVersion
from workers.delivery import Delivery
from workers.member import Member


class VersionPool:
    """A request is in exactly one place: running on a member, or in `waiting` (or answered)."""

    def __init__(self, version: FunctionVersion) -> None:
        self.version = version
        self.born_s = time.monotonic()
        self.epoch = 0
        self.members: list[Member] = []
        self.waiting: deque[Delivery] = deque()
        self.starting = 0
        #: of the starting ones, those that hold a slot; the first `granted` waiting requests are theirs
        self.granted = 0
        #: provisioned ones that start
        self.providing = 0
        self.retired = False

    @property
    def empty(self) -> bool:
        return not (self.members or self.waiting or self.starting or self.providing)

    def admit(self, member: Member) -> None:
        """It is initialised: it serves from now on."""
        taken = {one.index for one in self.members}
        member.index = next(index for index in range(len(taken) + 1) if index not in taken)
        self.members.append(member)

    def idle_member(self) -> Member | None:
        """A provisioned one, if there is one."""
        idle = (member for member in self.members if member.idle and not member.retiring)
        return max(idle, key=lambda member: member.priority, default=None)

    def uncovered(self) -> Delivery | None:
        """The first waiting request for which no starting sandbox holds a slot."""
        return self.waiting[self.granted] if len(self.waiting) > self.granted else None

    def take_first(self) -> Delivery | None:
        """The request that has waited longest, waiting no more."""
        return self.waiting.popleft() if self.waiting else None

    def deliveries(self) -> Iterator[Delivery]:
        """What runs or waits here."""
        yield from (member.busy_with for member in self.members if member.busy_with is not None)
        yield from self.waiting

    def held(self, run_id: str) -> Delivery | None:
        """The same request, if it runs or waits here."""
        return next((one for one in self.deliveries() if one.invocation.run_id == run_id), None)
