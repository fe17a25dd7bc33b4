"""One measurement: a load on one target, and the CPU that its processes spent meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.bare_pipe.pipe import BarePipe
from bench.celery_rpc.peer import CeleryPeer
from bench.cpu import cpu_seconds, spent_between
from bench.hearth_platform import Platform
from bench.load import Load, Request, run_load
from bench.report import BARE, CELERY, HEARTH, ColdStarts, Measured

#: distinct, so that no side can profit from having seen a request before
PAYLOADS = [b'{"number": %d, "text": "%s"}' % (number, b"x" * 64) for number in range(256)]


def function_name(concurrency: int) -> str:
    """A function for each concurrency, as the bare pipe has a queue for each."""
    return f"bench-{concurrency}"


class Bench:
    """Everything that runs, and how it is measured."""

    def __init__(
        self, bare: BarePipe, celery: CeleryPeer | None, platform: Platform, servers: Mapping[str, int]
    ) -> None:
        self._bare = bare
        self._celery = celery
        self._platform = platform
        self._servers = servers

    async def measure(self, target: str, concurrency: int, round_number: int, seconds: float) -> Measured:
        """One target under one load. Signatures are made before the clock starts."""
        roots = {**self._servers, **self._roots(target, concurrency)}
        if target == CELERY:
            assert self._celery is not None
            before = cpu_seconds(roots)
            load = await self._celery.load(concurrency, seconds)
        else:
            requests = self._requests(target, concurrency)
            before = cpu_seconds(roots)
            load = await self._load(target, requests, concurrency, seconds=seconds)
        spent = spent_between(before, cpu_seconds(roots))
        answers = max(1, len(load.latencies_ns))
        return Measured(
            target,
            concurrency,
            round_number,
            load.throughput,
            load.percentile_ms(50),
            load.percentile_ms(99),
            len(load.latencies_ns),
            dict(load.errors),
            {kind: seconds_spent / answers * 1e6 for kind, seconds_spent in spent.items()},
        )

    async def cold_starts(self, function: str, concurrency: int, answers: int) -> ColdStarts:
        return ColdStarts(function, concurrency, answers, await self._platform.sandboxes_started(function))

    async def closed_loop(self, function: str, count: int) -> tuple[ColdStarts, Counter[str]]:
        """`count` invokes of a fresh function, one at a time: one sandbox should be enough."""
        requests = self._platform.requests(function, PAYLOADS)
        load = await self._load(HEARTH, requests, 1, count=count)
        return await self.cold_starts(function, 1, len(load.latencies_ns)), load.errors

    @property
    def targets(self) -> tuple[str, ...]:
        return (BARE, HEARTH) if self._celery is None else (BARE, HEARTH, CELERY)

    def _roots(self, target: str, concurrency: int) -> Mapping[str, int]:
        if target == BARE:
            return self._bare.roots(concurrency)
        if target == CELERY and self._celery is not None:
            return self._celery.roots(concurrency)
        return self._platform.roots()

    def _requests(self, target: str, concurrency: int) -> list[Request]:
        if target == BARE:
            return self._bare.requests(concurrency, PAYLOADS)
        return self._platform.requests(function_name(concurrency), PAYLOADS)

    async def _load(self, target: str, requests: Sequence[Request], concurrency: int, **extent: Any) -> Load:
        at = self._bare if target == BARE else self._platform
        return await run_load(at.host, at.port, requests, concurrency=concurrency, **extent)
