"""Exactly once: who runs a task has claimed it first, in `state`, and leaves its result there.

An attempt's claim is taken once. It holds who runs it ("by:ID"), or its result ("is:JSON"), or it was voided before
anybody ran it ("void"): then the next attempt may be sent. So whoever takes a shard over, or has lost its connection,
learns what became of a task; one that was claimed and whose claimant is gone is lost, and never run again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import Store, keys
from hearth.store.claims import KEPT_S, VOID, claimed_by, result_of

log = logging.getLogger(__name__)

#: pauses between two looks at a claim: the first, and then twice that up to the longest
FIRST_LOOK_S = 0.1
LONGEST_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Free:
    """Nobody has run the task; this attempt may be sent."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The claimant's result, as it left it."""

    result: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Its claimant is gone without a result; it may have run."""


class Claims:
    """The orchestrator's side; the workers' is in `hearth.store.claims`."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def settle(self, task: str, attempt: int) -> Free | Finished | Lost:
        """What became of a task of which `attempt` may have been sent: waits until that is known."""
        pause_s = FIRST_LOOK_S
        while True:
            try:
                found = await self._look(task, attempt)
            except Unavailable as exc:
                log.warning("claim not read", extra={"action": "claim_not_read", "task": task, "error": str(exc)})
                found = None
            if isinstance(found, int):
                attempt = found
            elif found is not None:
                return found
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_LOOK_S, 2 * pause_s)

    async def _look(self, task: str, attempt: int) -> Free | Finished | Lost | int | None:
        """An int: look at that attempt; None: look again later."""
        key = keys.claim(task, attempt)
        held = await self._call(self._state.redis.set(key, VOID, nx=True, get=True, ex=KEPT_S))
        if held is None:
            return Free(attempt + 1)
        if held == VOID:
            return attempt + 1
        if (result := result_of(held)) is not None:
            return Finished(result)
        claimant = claimed_by(held)
        if await self._call(self._state.redis.exists(keys.claimant(claimant))):
            return None
        # It may have left its result and died between the two looks.
        held = await self._call(self._state.redis.get(key))
        result = result_of(held) if held else None
        return Lost() if result is None else Finished(result)

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except (RedisError, OSError) as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
