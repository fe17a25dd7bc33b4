"""SQS queues of mappings: received, gathered to batches, run, deleted.

One receiver at a time listens, with long polls, so an idle queue costs three calls a minute; it listens again as soon
as it has handed a batch on and another one may run. While messages come ten at a time, more receivers help, but not
with FIFO queues: servers that decide which groups they keep back without a lock may hand one to two receivers.
What the function did is deleted; everything else comes back when its visibility timeout is over, and the queue's own
redrive policy decides how often. A FIFO queue keeps back a group of which messages are on their way, so batches that
run side by side never have the same group.
Source: Lambda Developer Guide, "Using Lambda with Amazon SQS".
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from hearth.aws_clients import AwsClients
from hearth.errors import HearthError
from hearth.invoker import Invoker
from hearth.model.filter_patterns import compile_filters
from hearth.model.invocation import InvocationResult, Outcome
from hearth.model.mapping import QUEUE, EventSourceMapping, SourceKind, Unit
from hearth.settings import Settings
from hearth.store import Stores
from hearth.store.functions import FunctionTable
from hearth.store.mappings import MappingTable
from pollers.item_failures import BadReport, reported_failures
from pollers.mapping_target import MappingTarget
from pollers.queues.queue_batch import Concurrency, QueueBatch
from pollers.queues.results import Results, pause
from pollers.queues.sqs_event import encoded, sqs_record, trace_of
from pollers.queues.sqs_queue import LONGEST_WAIT_S, MOST_MESSAGES, Message, SqsQueue, ours_until_s
from pollers.runners import Lease

#: invocations at once that AWS goes up to by itself
MOST_CONCURRENT = 1250
#: invocations at once of a provisioned poller, as on AWS
_OF_A_POLLER = 10
#: of a FIFO queue's long poll while its messages are on their way: a server may decide at the poll's beginning which
#: groups are kept back, as moto does
_BUSY_WAIT_S = 1
#: receivers that help while there is a backlog
_HELPERS = 3
#: between two tries of a batch that found no room, or of a receive that failed
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 30.0
#: how often the number of batches that may run is looked at anew while all run
_LOOK_S = 0.2

T = TypeVar("T")


class SqsRunner:
    """Implements pollers.runners.Runner."""

    kinds = (SourceKind.SQS,)
    look_again_s = 300.0

    def __init__(self, settings: Settings, stores: Stores, aws: AwsClients, invoker: Invoker) -> None:
        self._settings = settings
        self._aws = aws
        self._invoker = invoker
        self._functions = FunctionTable(stores.state)
        self._table = MappingTable(stores.state, stores.coordination)

    async def prepare(self, mapping: EventSourceMapping) -> None:
        """A queue keeps what is sent to it."""

    async def units(self, mapping: EventSourceMapping) -> list[str]:
        return [QUEUE]

    async def run(self, unit: Unit, lease: Lease) -> None:
        queue = SqsQueue(self._aws, unit.mapping)
        await queue.open()
        mapping = unit.mapping
        place = (mapping.account, mapping.region, mapping.function)
        target = MappingTarget(self._settings, self._functions, self._invoker, place, mapping.qualifier)
        await _Listening(queue, unit, lease, target, self._table, self._settings.max_payload_bytes).run()


@dataclass(frozen=True, slots=True)
class _Received:
    """Batches that are run one after the other. until_s: monotonic; then their messages are others'."""

    batches: list[QueueBatch[Message]]
    until_s: float


class _Listening:
    """One queue while its lease is ours."""

    def __init__(
        self,
        queue: SqsQueue,
        unit: Unit,
        lease: Lease,
        target: MappingTarget,
        table: MappingTable,
        most_bytes: int,
    ) -> None:
        self._queue = queue
        self._mapping = unit.mapping
        self._stopping = lease.stopping
        self._target = target
        self._most_bytes = most_bytes
        self._match = compile_filters(self._mapping.filters, self._mapping.kind)
        self._concurrency = concurrency_of(self._mapping)
        #: batches that run, and receivers that listen for one
        self._running = 0
        self._freed = asyncio.Event()
        self._helpers = 0
        self._backlog = False
        self._results = Results(table, unit)

    async def run(self) -> None:
        """Until `stopping` and what runs has ended."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            failures = 0
            while not self._stopping.is_set():
                try:
                    await self._listen(_BUSY_WAIT_S if self._queue.fifo and self._running else LONGEST_WAIT_S)
                    failures = 0
                except HearthError as exc:
                    # what runs goes on, so this is not raised
                    await self._results.problem(exc)
                    await pause(self._stopping, min(_FIRST_PAUSE_S * 2 ** min(failures, 10), _LONGEST_PAUSE_S))
                    failures += 1

    # --- receiving --------------------------------------------------------------------------------------------
    async def _listen(self, wait_s: int) -> None:
        """Take the place of a batch, receive one and hand it on. Raises HearthError."""
        if not await self._place():
            return
        handed_on = False
        try:
            received = await self._gather(wait_s)
            if received is not None:
                self._tasks.create_task(self._carry_out(received), name=f"sqs-{self._mapping.uuid}")
                handed_on = True
        finally:
            if not handed_on:
                self._leave()
        helped = not self._queue.fifo and not self._mapping.batch_window_s
        if handed_on and self._backlog and self._helpers < _HELPERS and helped:
            self._helpers += 1
            self._tasks.create_task(self._help(), name=f"sqs-help-{self._mapping.uuid}")

    async def _help(self) -> None:
        try:
            while self._backlog and not self._stopping.is_set():
                await self._listen(0)
        except HearthError:
            pass  # the first receiver meets it too, and says it
        finally:
            self._helpers -= 1

    async def _place(self) -> bool:
        """Wait until another batch may run. False: it is time to stop."""
        while not self._stopping.is_set():
            self._concurrency.in_use(self._running, time.monotonic())
            if self._running < self._concurrency.limit:
                self._running += 1
                return True
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._unless_stopping(self._freed.wait())
        return False

    def _leave(self) -> None:
        self._running -= 1
        self._freed.set()

    async def _gather(self, wait_s: int) -> _Received | None:
        """Messages for one batch: as many as there are at once, or as come within the window. None: there are none.

        More than one batch only where the messages of one receive are too large for one event.
        """
        until_s = ours_until_s(self._queue)
        batches = [self._empty_batch()]
        closes_at_s = 0.0
        while True:
            asked = min(batches[-1].room, MOST_MESSAGES)
            messages = await self._unless_stopping(self._queue.receive(asked, wait_s))
            if messages is None:  # stopping: what was gathered is others'
                await self._queue.give_back([one for batch in batches for one in batch.messages])
                return None
            self._backlog = len(messages) == asked
            if not batches[0].messages:
                if not messages:
                    if self._running == 1:
                        self._concurrency.idle()
                    return None
                until_s = ours_until_s(self._queue)
                closes_at_s = time.monotonic() + self._mapping.batch_window_s
            await self._add(batches, messages)
            if not batches[0].messages:
                return None  # all of them were filtered out
            left_s = closes_at_s - time.monotonic()
            if len(batches) > 1 or batches[-1].room <= 0 or left_s <= 0:
                return _Received(batches, until_s)
            wait_s = 0 if self._backlog else int(left_s)
            if not self._backlog and wait_s == 0:
                await pause(self._stopping, left_s)

    async def _add(self, batches: list[QueueBatch[Message]], messages: list[Message]) -> None:
        refused = []
        for message in messages:
            record = sqs_record(message, self._mapping.source_arn, windowed=self._mapping.batch_window_s > 0)
            if not self._match(record):
                refused.append(message)
                continue
            data = encoded(record)
            if not batches[-1].takes(data):
                batches.append(self._empty_batch())
            batches[-1].add(message, data)
        if refused:
            await self._queue.delete(refused)

    def _empty_batch(self) -> QueueBatch[Message]:
        return QueueBatch(b'{"Records":[', b"]}", self._mapping.batch_size, self._most_bytes)

    # --- running ----------------------------------------------------------------------------------------------
    async def _carry_out(self, received: _Received) -> None:
        try:
            for number, batch in enumerate(received.batches):
                if not await self._run_batch(batch, received.until_s) and self._queue.fifo:
                    rest = received.batches[number + 1 :]
                    await self._queue.give_back([one for later in rest for one in later.messages])
                    break
        finally:
            self._leave()

    async def _run_batch(self, batch: QueueBatch[Message], until_s: float) -> bool:
        """Whether all of its messages are done."""
        result = await self._invoke(batch, until_s)
        if result is None:
            await self._queue.give_back(batch.messages)
            return False
        if result.outcome is not Outcome.OK:
            await self._results.failed(result)
            return False
        done = batch.messages
        if self._mapping.reports_failures:
            try:
                failed = reported_failures(result.payload, {one["MessageId"] for one in done})
            except BadReport as exc:
                await self._results.badly_reported(str(exc))
                return False
            done = [one for one in done if one["MessageId"] not in failed]
        await self._results.done()
        return await self._queue.delete(done) and len(done) == len(batch.messages)

    async def _invoke(self, batch: QueueBatch[Message], until_s: float) -> InvocationResult | None:
        """How it ended; tried again while nothing could run and the messages are ours. None: time to stop."""
        pause_s, payload, trace_id = _FIRST_PAUSE_S, batch.payload(), trace_of(batch.messages)
        while True:
            result = await self._target.run_now(payload, trace_id)
            if result.outcome not in (Outcome.THROTTLED, Outcome.UNAVAILABLE):
                return result
            if result.outcome is Outcome.THROTTLED:
                self._concurrency.throttled(self._running)
            if time.monotonic() + pause_s >= until_s:
                return result
            await pause(self._stopping, pause_s)
            if self._stopping.is_set():
                return None
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    # --- small things -----------------------------------------------------------------------------------------
    async def _unless_stopping(self, work: Awaitable[T]) -> T | None:
        """None: it was time to stop first, and the work is cancelled."""
        working, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)  # the work has a deadline
            return working.result() if working.done() else None
        finally:
            working.cancel()
            stop.cancel()


def concurrency_of(mapping: EventSourceMapping) -> Concurrency:
    """As AWS scales, within MaximumConcurrency; or what provisioned pollers can do."""
    if pollers := mapping.provisioned_pollers:
        first = int(pollers.get("MinimumPollers", 2)) * _OF_A_POLLER
        return Concurrency(int(pollers.get("MaximumPollers", 200)) * _OF_A_POLLER, first=first)
    return Concurrency(mapping.max_concurrency or MOST_CONCURRENT)
