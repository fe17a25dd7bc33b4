"""Access keys and roles near at hand: signatures are checked without asking `state`.

A task reads the epoch that every change raises. What is kept is believed for a lease after the last successful read:
a key that was deleted works nowhere once that has passed, whatever happens to `state`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from hearth.errors import HearthError, Unavailable
from hearth.model.identity import AccessKey, Role
from hearth.store.identities import Identities, IdentityTable

log = logging.getLogger(__name__)

LEASE_S = 5.0
READ_EPOCH_EVERY_S = 0.5


class IdentityCache:
    """`renew` once before use."""

    def __init__(self, table: IdentityTable, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._monotonic = monotonic
        self._known = Identities()
        self._believed_until_s = 0.0

    def access_key(self, key_id: str) -> AccessKey | None:
        """Raises Unavailable when the lease has run out."""
        return self._current().access_keys.get(key_id)

    def role(self, account: str, name: str) -> Role | None:
        """None: no policy says what it may do. Raises Unavailable when the lease has run out."""
        return self._current().roles.get((account, name))

    def _current(self) -> Identities:
        if self._monotonic() >= self._believed_until_s:
            raise Unavailable("The access keys are not known: state does not answer.")
        return self._known

    async def renew(self) -> None:
        asked_at_s = self._monotonic()
        if await self._table.epoch() != self._known.epoch:
            self._known = await self._table.all()
        self._believed_until_s = asked_at_s + LEASE_S

    async def keep_renewed(self) -> None:
        """Runs for the life of the process, in a task of its owner's."""
        while True:
            try:
                async with asyncio.timeout(LEASE_S):
                    await self.renew()
            except (HearthError, TimeoutError) as exc:
                log.warning("identities not renewed", extra={"action": "identities_not_renewed", "error": str(exc)})
            await asyncio.sleep(READ_EPOCH_EVERY_S)
