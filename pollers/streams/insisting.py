"""What a shard must get done is tried until it is done: it waits for a server that is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from hearth.errors import HearthError, TooManyRequests, Unavailable

log = logging.getLogger(__name__)

#: after a try that failed
PAUSE_S = 0.5


async def insist(what: str, act: Callable[[], Awaitable[None]], where: Mapping[str, str]) -> None:
    """what: is said when `act` does not succeed. where: the shard, for the log. Raises what is no server's absence."""
    while True:
        try:
            return await act()
        except (Unavailable, TooManyRequests) as exc:
            note(what, exc, where)
            await asyncio.sleep(PAUSE_S)


def note(what: str, exc: HearthError, where: Mapping[str, str]) -> None:
    log.warning(what, extra={"action": what.replace(" ", "_"), "error": str(exc), **where})
