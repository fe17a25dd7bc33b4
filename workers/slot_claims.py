"""A worker's claims on concurrency: the slots of its sandboxes, in `coordination`. See hearth/store/slots.py."""

from __future__ import annotations

import contextlib

from hearth.errors import Unavailable
from hearth.model.function import FunctionVersion
from hearth.store import Store, slots
from hearth.store.concurrency import ConcurrencyTable
from hearth.store.slots import Provision, Slot
from workers.sandbox.sandbox import Sandbox


class SlotClaims:
    """Every method but `release` raises Unavailable when a store does not answer; nothing is known to be taken then."""

    def __init__(
        self, worker_id: str, concurrency: ConcurrencyTable, coordination: Store, *, starts_per_10s: int
    ) -> None:
        self._worker_id = worker_id
        self._concurrency = concurrency
        self._coordination = coordination
        self._starts_per_10s = starts_per_10s

    async def take(self, version: FunctionVersion, run_id: str, sandbox_id: str) -> Slot:
        """For a sandbox on demand, started for this request."""
        account = await self._concurrency.account(version.account, version.region)
        return await slots.take_slot(
            self._coordination,
            worker_id=self._worker_id,
            sandbox_id=sandbox_id,
            run_id=run_id,
            version=version,
            limit=account.on_demand(version.name),
            reserved=account.reserved_names(),
            starts_per_10s=self._starts_per_10s,
        )

    async def take_provisioned(self, version: FunctionVersion, sandbox_id: str, wanted: int) -> Provision:
        return await slots.take_provisioned(self._coordination, version, sandbox_id, wanted)

    async def provisioned_ready(self, version: FunctionVersion, sandbox_id: str) -> None:
        await slots.provisioned_ready(self._coordination, version, sandbox_id)

    async def release(self, sandbox: Sandbox) -> None:
        release = slots.release_provisioned if sandbox.provisioned else slots.release_slot
        with contextlib.suppress(Unavailable):  # it expires by itself
            await release(self._coordination, sandbox.version, sandbox.id)

    async def raise_epoch(self, version_key: str, seen: int) -> int:
        """The home node of that epoch's queue is down: the next epoch."""
        return await slots.raise_epoch(self._coordination, version_key, seen)

    async def current_epoch(self, version_key: str) -> int:
        return await slots.current_epoch(self._coordination, version_key)
