"""Sandboxes that are one too many, since the concurrency that they live by has changed, end as they fall idle.

Reserved concurrency was lowered, or some of it provisioned; less is provisioned, or an alias has moved on. Looked at
when a function has changed, and once a second. The numbers are those of the whole fleet, so each sandbox asks
`coordination` before it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from hearth.errors import HearthError
from hearth.model.provision import wanted_by_version
from hearth.store import Store, slots
from hearth.store.concurrency import ConcurrencyTable, provisioned_of
from workers.member import Member
from workers.pool import Pool

log = logging.getLogger(__name__)

#: a change that was announced to nobody here is noticed by then
LOOK_EVERY_S = 1.0


class Shedder:
    """`run` is its life; `look` says that something has changed."""

    def __init__(self, pool: Pool, concurrency: ConcurrencyTable, coordination: Store) -> None:
        self._pool = pool
        self._concurrency = concurrency
        self._coordination = coordination
        self._changed = asyncio.Event()

    def look(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_EVERY_S)
            self._changed.clear()
            try:
                await self._shed()
            except HearthError as exc:
                log.warning("surplus not looked at", extra={"action": "shed_failed", "error": str(exc)})

    async def _shed(self) -> None:
        members = [member for member in self._pool.members() if not member.retiring and not member.surplus]
        if not members:
            return
        members.sort(key=lambda member: not member.idle)  # those that nobody misses go first
        found = await self._concurrency.functions()
        for member in members:
            version = member.sandbox.version
            function = found.get((version.account, version.region, version.name))
            if member.provisioned:
                wanted = wanted_by_version(provisioned_of(function), function.aliases) if function else {}
                await self._shed_provisioned(member, wanted.get(version.version, 0))
            elif function is not None:
                account = await self._concurrency.account(version.account, version.region)
                limit = account.on_demand(version.name)
                # One that runs keeps its slot until it has finished.
                if (
                    limit.reserved
                    and member.idle
                    and await slots.shed_slot(self._coordination, version, member.sandbox.id, limit.sandboxes)
                ):
                    self._pool.retire_surplus(member)

    async def _shed_provisioned(self, member: Member, wanted: int) -> None:
        if await slots.shed_provisioned(self._coordination, member.sandbox.version, member.sandbox.id, wanted):
            self._pool.retire_surplus(member)
