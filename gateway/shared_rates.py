"""What other gateways let through counts against a rate too: told and learnt twice a second.

The warm path asks nobody, so together they may exceed a rate by what they take between two exchanges; that is taken
off what comes after, so that the mean is right. While `coordination` is away each counts for itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.rate_limits import BURST_S, Buckets
from hearth.errors import HearthError
from hearth.store import Store, request_rates

log = logging.getLogger(__name__)

EXCHANGE_EVERY_S = 0.5
_ANSWER_S = 2.0


class SharedRates:
    """Keeps this process's buckets in step with everybody's counts."""

    def __init__(
        self, buckets: Buckets, coordination: Store, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = buckets
        self._coordination = coordination
        self._monotonic = monotonic
        #: whose -> (the total that was known last, when that was)
        self._known: dict[str, tuple[int, float]] = {}

    async def exchange(self) -> None:
        """Of those rates that were counted against here since the last time. Raises Unavailable."""
        taken = self._buckets.taken()
        if not taken:
            return
        totals = await request_rates.add(self._coordination, taken)
        now = self._monotonic()
        for whose, total in totals.items():
            before, at = self._known.get(whose, (total, now))
            others = total - before - taken[whose]
            # an older total says nothing: the bucket would have been full again
            if others > 0 and now - at <= BURST_S:
                self._buckets.take_off(whose, others)
            self._known[whose] = (total, now)
        self._known = {whose: known for whose, known in self._known.items() if now - known[1] <= BURST_S}

    async def run(self) -> None:
        """Runs for the life of the process, in a task of its owner's."""
        while True:
            await asyncio.sleep(EXCHANGE_EVERY_S)
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await self.exchange()
            except (HearthError, TimeoutError) as exc:
                log.warning("rates not exchanged", extra={"action": "rates_not_exchanged", "error": str(exc)})
