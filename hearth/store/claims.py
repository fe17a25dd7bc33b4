"""Claims on tasks that must not run twice: taken in `state` before a task runs, turned into its result afterwards.

See `orchestrator.claims` for who reads them. A claimant says every few seconds that it lives, while it holds claims.
"""

from __future__ import annotations

import asyncio
import base64
import logging

import orjson

from hearth.errors import HearthError
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store import keys
from hearth.store.pipeline import Pipeline

log = logging.getLogger(__name__)

VOID = b"void"
_BY = b"by:"
_RESULT = b"is:"
#: as long as a request, or a copy of it, can be on its way
KEPT_S = 7200
#: a claimant that was not heard of for this long is gone
ALIVE_S = 10
RENEW_S = 2.0
RETRY_S = 0.5
#: a result waits so long for a claim to leave with, which a chain of tasks soon brings: they share an fsync
PATIENCE_S = 0.02


def claimed_by(held: bytes) -> str:
    return held.removeprefix(_BY).decode()


def result_of(held: bytes) -> bytes | None:
    return held.removeprefix(_RESULT) if held.startswith(_RESULT) else None


def write_result(result: InvocationResult) -> bytes:
    """An invocation's result as a claim keeps it."""
    return orjson.dumps(
        {
            "outcome": result.outcome.value,
            "payload": base64.b64encode(result.payload).decode(),
            "version": result.executed_version,
            "log": base64.b64encode(result.log_tail).decode(),
            "detail": result.detail,
        }
    )


def read_result(raw: bytes) -> InvocationResult:
    fields = orjson.loads(raw)
    return InvocationResult(
        Outcome(fields["outcome"]),
        base64.b64decode(fields["payload"]),
        executed_version=fields["version"],
        log_tail=base64.b64decode(fields["log"]),
        detail=fields["detail"],
    )


class Claimant:
    """Who runs claimed tasks. `run()` is its life, in a task of its owner's. pipeline: to `state`."""

    def __init__(self, pipeline: Pipeline, claimant_id: str) -> None:
        self._pipeline = pipeline
        self.id = claimant_id
        self._held: set[str] = set()
        self._heard_s = float("-inf")
        self._some = asyncio.Event()

    async def take(self, claim: str) -> bool:
        """claim: a key, `keys.claim(task, attempt)`. False: it is another's, or void. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        taking = self._pipeline.call("SET", claim, _BY + self.id.encode(), "NX", "EX", KEPT_S)
        if loop.time() - self._heard_s > RENEW_S:  # before the claim: who looks must see that we live
            _, answer = await asyncio.gather(self._renew(), taking)
        else:
            answer = await taking
        self._heard_s = loop.time()
        taken = bool(answer)
        if taken:
            self._held.add(claim)
            self._some.set()
        return taken

    async def take_surely(self, claim: str) -> bool:
        """As `take`, however long `state` is away."""
        while True:
            try:
                if await self.take(claim):
                    return True
                # an earlier try may have reached the store, and its answer not us
                return await self._pipeline.call("GET", claim) == _BY + self.id.encode()
            except HearthError as exc:
                log.warning("task not claimed", extra={"action": "not_claimed", "claim": claim, "error": str(exc)})
                await asyncio.sleep(RETRY_S)

    async def finish(self, claim: str, result: InvocationResult) -> None:
        """Leave the result, however long `state` is away; it is durable when this returns.

        Also of a claim of which it is not known whether it was taken: another's is left alone.
        """
        arguments = [_BY + self.id.encode(), _RESULT + write_result(result), KEPT_S]
        self._held.add(claim)
        try:
            while True:
                try:
                    await self._pipeline.script("claim_finish", [claim], arguments, within_s=PATIENCE_S)
                    return
                except HearthError as exc:
                    log.warning("claim not finished", extra={"action": "claim_not_finished", "error": str(exc)})
                    await asyncio.sleep(RETRY_S)
        finally:
            self._held.discard(claim)

    def release(self, claim: str) -> None:
        """Its result is kept elsewhere; the claim stays taken."""
        self._held.discard(claim)

    async def run(self) -> None:
        while True:
            await self._some.wait()  # no deadline: nothing to say until a claim is held
            await asyncio.sleep(RENEW_S)
            if not self._held:
                self._some.clear()
                continue
            try:
                await self._renew()
                self._heard_s = asyncio.get_running_loop().time()
            except HearthError as exc:
                log.warning("claims not renewed", extra={"action": "claims_not_renewed", "error": str(exc)})

    async def _renew(self) -> None:
        await self._pipeline.call("SET", keys.claimant(self.id), 1, "EX", ALIVE_S)
