"""How long a process believes what it keeps of `state`: a lease after it last read the epoch that every change raises.

So a change is in force everywhere once a lease has passed, whatever happens to `state` or to the announcement.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from hearth.errors import HearthError

log = logging.getLogger(__name__)

READ_EPOCH_EVERY_S = 0.5
#: unless somebody needs it otherwise
LEASE_S = 1.0


class EpochLease:
    """`holds` says whether what is kept may be used without asking."""

    def __init__(
        self,
        of: str,
        read_epoch: Callable[[], Awaitable[int]],
        on_change: Callable[[], Awaitable[None]],
        *,
        lease_s: float = LEASE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """of: what is kept, for the log. on_change: drops or replaces it, before the lease is extended.

        The first reading counts as a change. What the two raise, `renew` raises.
        """
        self._of = of
        self._read_epoch = read_epoch
        self._on_change = on_change
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._epoch = -1
        self._until_s = 0.0

    @property
    def holds(self) -> bool:
        return self._monotonic() < self._until_s

    async def renew(self) -> None:
        """Read the epoch once. The lease counts from before the question: the answer may be as old."""
        asked_at_s = self._monotonic()
        epoch = await self._read_epoch()
        if epoch != self._epoch:
            await self._on_change()
            self._epoch = epoch
        self._until_s = asked_at_s + self._lease_s

    async def keep_renewed(self) -> None:
        """Runs for the life of the process, in a task of its owner's."""
        while True:
            try:
                async with asyncio.timeout(self._lease_s):
                    await self.renew()
            except (HearthError, TimeoutError) as exc:
                told = {"action": "lease_not_renewed", "of": self._of, "error": str(exc)}
                log.warning("what is kept was not renewed", extra=told)
            await asyncio.sleep(READ_EPOCH_EVERY_S)
