"""One leased shard: its executions in memory, what reaches them, and its timers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hearth.errors import Unavailable
from hearth.model.execution import Execution, Outcome, Snapshot, shard_of
from hearth.model.history import HistoryEvent
from hearth.platform_clock import PlatformClock
from hearth.settings import Settings
from hearth.store.executions import ExecutionTable
from hearth.store.workflow_shards import UNFINISHED, Commit, Message, ShardStore
from orchestrator.core import signals
from orchestrator.definitions import Definitions
from orchestrator.integrations.states import described
from orchestrator.logs import ExecutionLogs
from orchestrator.messages import read_message
from orchestrator.perform import Performer
from orchestrator.run import IDLE_S, Run, Waiting
from orchestrator.timers import Timers

log = logging.getLogger(__name__)

#: executions kept in memory while they wait for others
MAX_IDLE = 2000
#: loaded together when a shard is taken over, and how long they are waited for before the next are
RESUMED_AT_ONCE = 64
RESUME_S = 1.0
_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Tools:
    """What all shards of a process share."""

    settings: Settings
    clock: PlatformClock
    store: ShardStore
    definitions: Definitions
    performer: Performer
    executions: ExecutionTable
    logs: ExecutionLogs
    #: in all
    shards: int


class Shard:
    """`run` is its life, `stop` asks it to end; what it was doing is carried on by the next holder."""

    def __init__(self, number: int, token: int, tools: Tools) -> None:
        self.number = number
        self.token = token
        self.shards = tools.shards
        self.settings = tools.settings
        self.clock = tools.clock
        self.store = tools.store
        self.definitions = tools.definitions
        self.performer = tools.performer
        self._tools = tools
        self._runs: dict[str, Run] = {}
        #: of the inbox: everything up to here has been handed to a run
        self.read_to = "0"
        self.ending = False
        self._over = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self.timers = Timers(self.clock, self._fire)

    def stop(self) -> None:
        self.ending = True
        self._over.set()

    def lost(self) -> None:
        """Another orchestrator has the lease."""
        log.warning("lease lost", extra={"action": "lease_lost", "shard": self.number})
        self.stop()

    async def run(self) -> None:
        """Until `stop`; what is being committed is finished, what is being performed is left to the next holder."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            timing = tasks.create_task(self.timers.run(), name=f"timers-{self.number}")
            resuming = tasks.create_task(self._resume(), name=f"resume-{self.number}")
            tidying = tasks.create_task(self._tidy(), name=f"tidy-{self.number}")
            await self._over.wait()  # no deadline: as long as the lease is held
            for task in (timing, resuming, tidying):
                task.cancel()
            for one in list(self._runs.values()):
                one.abandon()

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._tasks.create_task(work, name=name)

    # --- what reaches its executions ----------------------------------------------------------------------------
    def deliver(self, message: Message) -> None:
        self.read_to = message.id
        try:
            signal = read_message(message.body)
        except ValueError:
            log.exception("unreadable message", extra={"action": "message_unreadable", "shard": self.number})
            self.begin(self.store.drop_messages(self.number, [message.id]), "drop-unreadable")
            return
        self._of(message.execution).tell(Waiting(signal, message.id))

    def _of(self, arn: str) -> Run:
        run = self._runs.get(arn)
        if run is None:
            run = self._runs[arn] = Run(self, arn)
        return run

    def let_go(self, run: Run) -> None:
        if self._runs.get(run.arn) is run:
            del self._runs[run.arn]

    async def _resume(self) -> None:
        """See to what earlier holders of the shard had begun."""
        while True:
            try:
                self.timers.look()
                found = {arn for arn, _ in await self.store.tasks(self.number)}
                map_runs = {arn for arn in found if ":mapRun:" in arn}
                for arn in map_runs:
                    self.begin(self.stop_children(arn), f"stop children of {arn}")
                arns = sorted(found - map_runs)
                for start in range(0, len(arns), RESUMED_AT_ONCE):
                    resuming = [self._of(arn).resume() for arn in arns[start : start + RESUMED_AT_ONCE]]
                    await asyncio.wait(resuming, timeout=RESUME_S)  # what takes longer does so beside the others
                return
            except Unavailable as exc:
                log.warning("shard not resumed", extra={"action": "not_resumed", "shard": self.number, "why": str(exc)})
                await asyncio.sleep(_RETRY_S)

    async def _fire(self, now_ms: int) -> float | None:
        """Hand on the timers that are due; when the next one is. Raises Unavailable."""
        for arn, timer in await self.store.due_timers(self.number, now_ms, limit=500):
            self._of(arn).fire(timer)
        return await self.store.next_timer(self.number)

    async def _tidy(self) -> None:
        """Executions that only wait need no place in memory."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(IDLE_S / 4)
            idle = [one for one in self._runs.values() if not one.busy]
            too_many = len(idle) - MAX_IDLE
            for position, one in enumerate(sorted(idle, key=lambda run: run.idle_since_s)):
                if position < too_many or loop.time() - one.idle_since_s > IDLE_S:
                    self.let_go(one)

    # --- what its executions lead to ----------------------------------------------------------------------------
    async def stop_children(self, map_run: str) -> None:
        """Of a map run that has ended: what still runs has nobody to wait for it."""
        while not self.ending:
            try:
                run = await self._tools.executions.map_run(map_run)
                if run is not None and run["status"] != "RUNNING":  # it may have been redriven since
                    await self._tools.executions.stop_all(map_run)
                return await self.store.drop_task(self.number, map_run, UNFINISHED)
            except Unavailable as exc:
                log.warning(
                    "children not stopped", extra={"action": "not_stopped", "map_run": map_run, "why": str(exc)}
                )
                await asyncio.sleep(_RETRY_S)
        return None

    def committed(
        self, execution: Execution, snapshot: Snapshot, redrives: int, events: Sequence[HistoryEvent]
    ) -> None:
        """For the machine's log, if it has one."""
        self._tools.logs.write(execution, snapshot, redrives, events)

    def notify_parent(self, commit: Commit, execution: Execution, snapshot: Snapshot, outcome: Outcome) -> None:
        """Whoever waits for this execution hears of its end, in the same commit."""
        parent = execution.parent
        body = orjson.dumps(ending(execution, snapshot, outcome))
        commit.message(shard_of(parent["execution"], self.shards), parent["execution"], body)


def ending(execution: Execution, snapshot: Snapshot, outcome: Outcome) -> dict[str, Any]:
    """The message to a parent: of a `.sync` task, or of a map run's child."""
    parent = execution.parent
    task_id = int(parent["task"])
    if "index" in parent:
        child = signals.ChildEnded(
            task_id, int(parent["index"]), outcome.status.value, outcome.output, outcome.error, outcome.cause
        )
        members = {name: getattr(child, name) for name in ("index", "status", "output", "error", "cause")}
        return {"signal": "ChildEnded", "task_id": task_id, **{k: v for k, v in members.items() if v is not None}}
    text = orjson.dumps(described(execution, outcome, parsed=parent["pattern"] == "sync:2")).decode()
    if outcome.status == "SUCCEEDED":
        return {"signal": "TaskSucceeded", "task_id": task_id, "output": text}
    return {"signal": "TaskFailed", "task_id": task_id, "error": "States.TaskFailed", "cause": text}
