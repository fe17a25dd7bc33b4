"""Tasks that must not run twice: claimed before they run, their results left in the claim.

See hearth/store/claims.py.
"""

from __future__ import annotations

import asyncio
import logging

from hearth.errors import Unavailable
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store.claims import Claimant
from hearth.store.pipeline import Pipeline

log = logging.getLogger(__name__)


class TaskClaims:
    """`run` is its life. pipeline: to `state`."""

    def __init__(self, pipeline: Pipeline, worker_id: str, tasks: asyncio.TaskGroup) -> None:
        self._claimant = Claimant(pipeline, worker_id)
        self._tasks = tasks
        #: results on their way into claims
        self._finishing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        await self._claimant.run()

    async def take(self, claim: str) -> bool:
        """False: it is not ours to run."""
        try:
            return await self._claimant.take(claim)
        except Unavailable as exc:
            log.warning("task not claimed", extra={"action": "not_claimed", "claim": claim, "reason": str(exc)})
            # it may be ours all the same: then it ends so
            self.finished(
                claim, InvocationResult(Outcome.LOST, detail="The task could not be claimed; it did not run.")
            )
            return False

    def finished(self, claim: str, result: InvocationResult) -> None:
        """Leave the result, whoever still listens for its reply."""
        task = self._tasks.create_task(self._claimant.finish(claim, result), name="finish-claim")
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def settled(self) -> None:
        """Wait until every result is in its claim; no deadline: bounded by who drains us."""
        if self._finishing:
            await asyncio.wait(self._finishing)
