"""Access keys and roles near at hand: signatures are checked without asking `state`.

A key that was deleted works nowhere once the lease has passed (`gateway.epoch_lease`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.epoch_lease import EpochLease
from hearth.errors import Unavailable
from hearth.model.identity import AccessKey, Role
from hearth.store.identities import Identities, IdentityTable

LEASE_S = 5.0


class IdentityCache:
    """`lease.renew` once before use."""

    def __init__(self, table: IdentityTable, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._known = Identities()
        self.lease = EpochLease("identities", table.epoch, self._read, lease_s=LEASE_S, monotonic=monotonic)

    def access_key(self, key_id: str) -> AccessKey | None:
        """Raises Unavailable when the lease has run out."""
        return self._current().access_keys.get(key_id)

    def role(self, account: str, name: str) -> Role | None:
        """None: no policy says what it may do. Raises Unavailable when the lease has run out."""
        return self._current().roles.get((account, name))

    def _current(self) -> Identities:
        if not self.lease.holds:
            raise Unavailable("The access keys are not known: state does not answer.")
        return self._known

    async def _read(self) -> None:
        self._known = await self._table.all()
