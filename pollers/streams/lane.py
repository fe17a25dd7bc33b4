"""One lane of a shard: the batches of its records run one after the other, each until it is through or given up.

Order holds within a lane, and a record's key alone decides its lane. With tumbling windows it carries a window's state
from batch to batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from hearth.clock import now_ms
from hearth.model.invocation import InvocationResult, Outcome
from pollers.item_failures import BadReport, reported_failures
from pollers.streams.batching import Batcher, BatchLimits
from pollers.streams.outcome import (
    RETRIES_EXHAUSTED,
    FailurePolicy,
    Step,
    Work,
    backoff_s,
    failed,
    succeeded,
    too_old,
)
from pollers.streams.source import SourceRecord
from pollers.streams.windows import NoState, OpenWindow, start_of

#: of records that wait in a lane, beyond what makes its next batch
AHEAD = 2000


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """tumbling_s 0: no windows. reports: the function names the records that failed. backoff_s: the first pause."""

    limits: BatchLimits
    policy: FailurePolicy
    tumbling_s: int = 0
    reports: bool = False
    backoff_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of the function, or what kept it from running. too_large: the event exceeds what a function may get."""

    request_id: str
    result: InvocationResult
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class _Judgement:
    """step None: the function did not run. window: as it is after the step. reported: the function itself said what
    failed."""

    step: Step | None
    window: OpenWindow | None
    reported: bool = False


class Surroundings(Protocol):
    """What a lane needs of its shard."""

    #: begin nothing more
    stopping: asyncio.Event

    @property
    def ended(self) -> bool:
        """Nothing more is going to be read."""
        ...

    @property
    def caught_up_ms(self) -> int:
        """Everything that arrived before this time (epoch ms) has been read."""
        ...

    async def invoke(
        self, records: Sequence[SourceRecord], window: OpenWindow | None, *, final: bool, early: bool
    ) -> Ran: ...

    async def report(self, work: Work, condition: str, ran: Ran | None, *, reported: bool) -> None:
        """Returns when the report will reach its destination, or there is none."""
        ...

    async def commit(self) -> None:
        """Returns when what the lanes have done is durable. Raises CheckpointRefused."""
        ...

    def made_room(self) -> None: ...

    def said(self, *, well: bool, why: str = "") -> None:
        """How a run ended, for those who look."""
        ...


class Lane:
    def __init__(self, options: LaneOptions, shard: Surroundings, state: bytes = b"") -> None:
        """state: as `to_json` gave it to an earlier holder; empty: none."""
        self._options = options
        self._shard = shard
        self._works: deque[Work] = deque()
        self._changed = asyncio.Event()
        length_s = options.tumbling_s
        self._batcher = Batcher(options.limits, (lambda at_ms: start_of(at_ms, length_s)) if length_s else None)
        carried = orjson.loads(state) if state else {}
        #: order of the last record that is through
        self._done = int(carried.get("done", -1))
        self._window = OpenWindow.from_json(carried["window"]) if carried.get("window") else None

    def to_json(self) -> bytes:
        window = self._window.to_json() if self._window else None
        return orjson.dumps({"done": str(self._done), "window": window})

    @property
    def first(self) -> SourceRecord | None:
        """The first record that is not through."""
        return self._works[0].records[0] if self._works else self._batcher.first

    @property
    def full(self) -> bool:
        limits = self._options.limits
        return len(self._batcher) >= limits.records + AHEAD or self._batcher.bytes >= 2 * limits.most_bytes

    def knows(self, record: SourceRecord) -> bool:
        """It was through in the time of an earlier holder, before records of other lanes were."""
        return record.order <= self._done

    def add(self, record: SourceRecord, at_s: float) -> None:
        """`wake` must follow."""
        self._batcher.add(record, at_s)

    def wake(self) -> None:
        self._changed.set()

    async def live(self) -> None:
        """Until the shard has ended and everything is through, or is to stop. Raises CheckpointRefused."""
        loop = asyncio.get_running_loop()
        while not self._shard.stopping.is_set():
            self._changed.clear()
            batch = self._batcher.take(time.monotonic(), last=self._shard.ended or self._is_over(self._batcher.first))
            if batch is not None:
                self._works.append(Work(batch))
                self._shard.made_room()
                if self._options.tumbling_s:
                    await self._enter_window(batch[0], self._options.tumbling_s)
                await self._carry_out()
            elif self._window is not None and not len(self._batcher) and self._window_is_over():
                await self._close_window()
            elif self._shard.ended and not len(self._batcher):
                return
            else:
                await self._wait(loop)

    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = self._batcher.due_s()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due_s is None else max(0.0, due_s - time.monotonic())):
                await self._changed.wait()

    # --- a batch ----------------------------------------------------------------------------------------------
    async def _carry_out(self) -> None:
        setbacks = 0
        while self._works and not self._shard.stopping.is_set():
            work = self._works[0]
            step = too_old(work, self._options.policy, now_ms())
            if step is not None:
                await self._take(work, step, None, _Judgement(step, self._window))
                continue
            ran = await self._shard.invoke(work.records, self._window, final=False, early=False)
            judgement = self._judged(work, ran)
            step = judgement.step
            if step is not None:
                await self._take(work, step, ran, judgement)
            if step is not None and not step.backs_off:
                setbacks = 0
                continue
            setbacks += 1
            await self._pause(setbacks)

    def _judged(self, work: Work, ran: Ran) -> _Judgement:
        """What follows from a run."""
        policy, result, window = self._options.policy, ran.result, self._window
        if ran.too_large:
            self._shard.said(well=False, why="the event is too large")
            return _Judgement(Step(given_up=work, condition=RETRIES_EXHAUSTED), window)
        if result.outcome is Outcome.FUNCTION_ERROR:
            self._shard.said(well=False, why=result.detail)
            return _Judgement(failed(work, policy), window)
        if result.outcome is not Outcome.OK:
            self._shard.said(well=False, why=result.detail or result.outcome.value)
            return _Judgement(None, window)
        try:
            after = window.after(result.payload) if window is not None else None
            first_failed = self._first_failed(work, result.payload) if self._options.reports else None
        except (NoState, BadReport) as exc:
            self._shard.said(well=False, why=str(exc))
            return _Judgement(failed(work, policy), window, reported=True)
        if first_failed is None:
            self._shard.said(well=True)
            return _Judgement(succeeded(work), after)
        self._shard.said(well=False, why="records were reported as failed")
        return _Judgement(failed(work, policy, first_failed), after if first_failed else window, reported=True)

    @staticmethod
    def _first_failed(work: Work, answer: bytes) -> int | None:
        """Index of the lowest record that the function reports; None: it reports none. Raises BadReport."""
        index = {record.sequence_number: number for number, record in enumerate(work.records)}
        failures = reported_failures(answer, index)
        return min((index[one] for one in failures), default=None)

    async def _take(self, work: Work, step: Step, ran: Ran | None, judgement: _Judgement) -> None:
        """Make what is through durable; the rest is next."""
        through = step.done
        if step.given_up is not None:
            await self._shard.report(step.given_up, step.condition, ran, reported=judgement.reported)
            through += len(step.given_up.records)
        # All at once: other lanes commit at any time, and a window's state must never be ahead of its records.
        self._window = judgement.window
        self._works.popleft()
        self._works.extendleft(reversed(step.again))
        if through:
            self._done = work.records[through - 1].order
            await self._shard.commit()
        if self._window is not None and self._window.too_large:
            await self._close_window(early=True)

    async def _pause(self, setbacks: int) -> None:
        """Until the next try, or until the first record has expired."""
        pause_s = backoff_s(setbacks, self._options.backoff_s)
        if self._works:
            expires_ms = self._works[0].records[0].arrival_ms + self._options.policy.max_age_ms
            pause_s = min(pause_s, max(0.0, (expires_ms - now_ms()) / 1000) + 0.01)
        await self._rest(pause_s)

    async def _rest(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._shard.stopping.wait()

    # --- windows ----------------------------------------------------------------------------------------------
    def _is_over(self, record: SourceRecord | None) -> bool:
        """Whether nothing more can come into the window of this record."""
        length_s = self._options.tumbling_s
        if not length_s or record is None:
            return False
        return self._shard.caught_up_ms >= start_of(record.arrival_ms, length_s) + length_s * 1000

    def _window_is_over(self) -> bool:
        assert self._window is not None
        end_ms = self._window.start_ms + self._options.tumbling_s * 1000
        return self._shard.ended or self._shard.caught_up_ms >= end_ms

    async def _enter_window(self, record: SourceRecord, length_s: int) -> None:
        start_ms = start_of(record.arrival_ms, length_s)
        if self._window is not None and self._window.start_ms != start_ms:
            await self._close_window()
        if self._window is None:
            self._window = OpenWindow(start_ms)

    async def end_early(self) -> None:
        """Close the window that was carried here; for lanes that are not gone on with."""
        if self._window is not None:
            await self._close_window(early=True)

    async def _close_window(self, *, early: bool = False) -> None:
        """The final invocation; while it fails, the lane waits."""
        setbacks = 0
        while not self._shard.stopping.is_set():
            ran = await self._shard.invoke((), self._window, final=True, early=early)
            well = ran.result.outcome is Outcome.OK
            self._shard.said(well=well, why=ran.result.detail)
            if well:
                break
            setbacks += 1
            await self._rest(backoff_s(setbacks, self._options.backoff_s))
        else:
            return
        # what an early end leaves of the window begins with an empty state
        self._window = OpenWindow(self._window.start_ms) if early and self._window and self._works else None
        await self._shard.commit()
