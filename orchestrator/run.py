"""One Standard execution in the hands of the shard that runs it: load, decide, commit, perform.

Signals come one after the other, all that wait at once. What they lead to is committed in one call and only then done.
If a commit's end is unknown or another came first, what was decided is void: the execution is loaded again and the
same signals are decided upon again, which is harmless, for the core ignores what comes too late.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from hearth.asl.definition import Definition
from hearth.errors import InvariantViolated, Unavailable
from hearth.model.execution import Execution, Outcome, Snapshot, Status, shard_of
from hearth.store.workflow_shards import Commit, LeaseLost, Overtaken
from orchestrator import map_runs
from orchestrator.core import effects, signals
from orchestrator.core.decide import decide, start
from orchestrator.core.state import ExecutionState, Identity
from orchestrator.messages import write_message
from orchestrator.orders import ACTIVITY, Order, dump_order, read_order
from orchestrator.perform import Surroundings

if TYPE_CHECKING:
    from orchestrator.shard import Shard

log = logging.getLogger(__name__)

#: before what could not be loaded or committed is tried again; then twice that, up to the longest
RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
#: what fails for no reason that passes is tried less often: another release may know better
STUCK_RETRY_S = 60.0
#: executions that wait for nothing but time or others are let go after this
IDLE_S = 30.0


@dataclass(slots=True)
class Waiting:
    """A signal that has not been decided upon. signal None: the start. message: the entry of the inbox it came by."""

    signal: signals.Signal | None
    message: str = ""


class Run:
    """In memory only while there is something to do, and a while longer."""

    def __init__(self, shard: Shard, arn: str) -> None:
        self._shard = shard
        self.arn = arn
        self._waiting: list[Waiting] = []
        #: its `_work`, while there is some
        self._work_task: asyncio.Task[None] | None = None
        self._state: ExecutionState | None = None
        self._version = -1
        self._execution: Execution
        self._snapshot: Snapshot
        self._definition: Definition
        self._redrives = 0
        #: closed for good: nothing can follow any more
        self._done = False
        #: loaded, and its orders not looked at: an earlier holder, or a commit whose end was not heard, left some
        self._inherits = False
        #: its last decision was cut
        self._cut = False
        #: answers from outside to tasks whose call has not returned yet, by the task's id
        self._early: dict[int, list[Waiting]] = {}
        #: ordered and not ended, by the task's id
        self.orders: dict[int, Order] = {}
        #: timers that were handed on and are not decided upon
        self._fired: set[str] = set()
        #: map runs that the decision being committed ends; they stay if it is not known how the commit ended
        self._finished_runs: list[str] = []
        #: begun jobs of tasks that it gives up
        self._unwanted_jobs: list[Order] = []
        #: orders that are being carried out here
        self._performing: dict[int, asyncio.Task[None]] = {}
        self.idle_since_s = 0.0

    def tell(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        if self._work_task is None:
            self._work_task = self._shard.begin(self._work(), f"run {self.arn}")

    @property
    def busy(self) -> bool:
        return self._work_task is not None or bool(self._performing)

    def fire(self, timer: str) -> None:
        """A timer is due; it stays in the store until it has been decided upon."""
        if timer not in self._fired:
            self._fired.add(timer)
            self.tell(Waiting(signals.TimerFired(timer)))

    def abandon(self) -> None:
        """What is being done here is left to the shard's next holder."""
        for task_id in list(self._performing):
            self._abandon(task_id)

    def resume(self) -> asyncio.Task[None]:
        """Carry on with what an earlier holder of the shard has left; done when it has been taken up."""
        self.tell(Waiting(signals.Continue()))
        assert self._work_task is not None
        return self._work_task

    async def _work(self) -> None:
        pause_s = RETRY_S
        try:
            while self._waiting and not self._shard.ending:
                batch, self._waiting = self._waiting, []
                try:
                    await self._advance(batch)
                    pause_s = RETRY_S
                    continue
                except LeaseLost:
                    return self._shard.lost()
                except (Overtaken, Unavailable) as exc:
                    log.warning(
                        "execution not advanced",
                        extra={"action": "not_advanced", "execution_arn": self.arn, "error": str(exc)},
                    )
                    longest_s = LONGEST_RETRY_S
                except Exception:  # a bug must hold up this execution alone
                    log.exception(
                        "execution can't be advanced", extra={"action": "execution_stuck", "execution_arn": self.arn}
                    )
                    longest_s = STUCK_RETRY_S
                self._forget()
                self._waiting = batch + self._waiting
                await asyncio.sleep(pause_s)
                pause_s = min(longest_s, 2 * pause_s)
        finally:
            self._work_task = None
            self.idle_since_s = asyncio.get_running_loop().time()
        if self._state is not None and self._state.closed and not self._waiting:
            self._shard.let_go(self)
        return None

    def _forget(self) -> None:
        self._state, self._version = None, -1
        self._unwanted_jobs = []

    async def _load(self) -> bool:
        """False: the execution is deleted."""
        loaded = await self._shard.store.load(self.arn)
        if loaded is None:
            return False
        self._execution = loaded.stored.execution
        self._snapshot, self._definition = await self._shard.definitions.get(self._execution.snapshot)
        self._version, self._redrives = loaded.version, loaded.stored.outcome.redrives
        self._state = ExecutionState.load(loaded.pieces) if loaded.pieces else None
        self.orders = {task_id: read_order(raw) for task_id, raw in loaded.tasks.items()}
        self._done = self._state is None and loaded.version > 0
        self._inherits = True
        self._cut = self._state is not None and bool(self._state.ready)
        return True

    async def _advance(self, batch: list[Waiting]) -> None:
        """Decide upon these signals, commit, act. Raises LeaseLost, Overtaken, Unavailable."""
        redriven = any(isinstance(one.signal, signals.RedriveRequested) for one in batch)
        if (self._version < 0 or redriven) and not await self._load():
            return await self._drop(batch)
        if self._done:
            return await self._drop(batch)
        batch = self._in_order(batch)
        if not batch:
            return None
        now = self._shard.clock.now_ms()
        commit = Commit(self._shard.number, self._execution, self._version)
        given = [one.signal for one in batch if one.signal is not None and self._counts(one.signal)]
        later: list[Waiting] = []
        if self._state is None:
            text = self._execution.input
            self._state, decision = start(self._definition, self._identity(), text, at_ms=now, random=random.random())
            later = [one for one in batch if one.signal is not None]  # came before it was started
            batch = [one for one in batch if one.signal is None]
            given = []
        else:
            decision = decide(self._definition, self._state, given, at_ms=now, random=random.random())
        if decision.events or any(not isinstance(one.signal, signals.Continue) for one in batch):
            commit.history([event.dump() for event in decision.events])
            commit.state(self._state.take_changes())
            for signal in given:
                self._settle(commit, signal)
            self._carry_over(commit, decision, now)
            commit.taken([one.message for one in batch if one.message])
            await self._shard.store.commit(commit, self._shard.token)
            self._version += 1
        for signal in given:
            if isinstance(signal, signals.TaskSubmitted):
                self._early.pop(signal.task_id, None)
                if (order := self.orders.get(signal.task_id)) is not None:
                    self._perform(order, resumed=False)  # if it is a job, its end is looked for
        self._shard.committed(self._execution, self._snapshot, self._state.redrives, decision.events)
        self._act(decision.effects)
        if self._inherits:
            self._inherits = False
            ended = {getattr(one.signal, "task_id", 0) for one in self._waiting}
            for order in list(self.orders.values()):
                if order.task_id not in ended:
                    self._perform(order, resumed=True)
        self._waiting = later + self._waiting
        if decision.unfinished:
            self._waiting.append(Waiting(signals.Continue()))
            await asyncio.sleep(0)
        return None

    def _in_order(self, batch: list[Waiting]) -> list[Waiting]:
        """An answer may come before the call that asks for it has returned; the history wants it afterwards."""
        ready: list[Waiting] = []
        for one in batch:
            signal = one.signal
            task_id = getattr(signal, "task_id", 0)
            order = self.orders.get(task_id)
            if isinstance(signal, signals.TaskSubmitted):
                ready += [one, *self._early.get(task_id, [])]
            elif order is not None and order.waits and not order.submitted and one.message:
                self._early.setdefault(task_id, []).append(one)
            else:
                ready.append(one)
        return ready

    def _counts(self, signal: signals.Signal) -> bool:
        """A redrive that has been carried out already does not count again."""
        if isinstance(signal, signals.RedriveRequested):
            return self._state is not None and self._state.redrives < self._redrives
        return True

    async def _drop(self, batch: list[Waiting]) -> None:
        """Of an execution that is deleted, or closed for good."""
        if ids := [one.message for one in batch if one.message]:
            await self._shard.store.drop_messages(self._shard.number, ids)
        for one in batch:
            if isinstance(one.signal, signals.TimerFired):
                await self._shard.store.drop_timer(self._shard.number, self.arn, one.signal.timer)
        for task_id in self.orders:
            await self._shard.store.drop_task(self._shard.number, self.arn, task_id)
        self._shard.let_go(self)

    def _identity(self) -> Identity:
        execution, snapshot, settings = self._execution, self._snapshot, self._shard.settings
        return Identity(
            arn=execution.arn,
            name=execution.name,
            role_arn=snapshot.role_arn,
            state_machine_arn=execution.machine_arn,
            state_machine_name=snapshot.name,
            started_at_ms=execution.started_at_ms,
            secret=secrets.token_hex(16),
            version_arn=execution.version_arn or None,
            alias_arn=execution.alias_arn or None,
            map_run_arn=execution.map_run_arn or None,
            max_events=settings.workflow_event_limit,
            max_data_bytes=settings.workflow_data_bytes,
        )

    # --- what is committed --------------------------------------------------------------------------------------
    def _settle(self, commit: Commit, signal: signals.Signal) -> None:
        """What has been answered is owed no more."""
        match signal:
            case signals.TimerFired(timer=timer):
                commit.timer(timer, None)
                self._fired.discard(timer)
            case signals.TaskSubmitted(task_id=task_id):
                if (order := self.orders.get(task_id)) is not None:
                    order.submitted = True
                    if order.is_job:
                        order.more["started"] = signal.output
                    commit.task(task_id, dump_order(order), "")
            case signals.TaskSucceeded(task_id=task_id) | signals.TaskFailed(task_id=task_id):
                self._over(commit, task_id)
            case signals.ItemsRead(task_id=task_id):
                if (order := self.orders.get(task_id)) is not None:
                    order.more["reader"] = None
                    commit.task(task_id, dump_order(order), "")
            case signals.ChildEnded(task_id=task_id):
                if (order := self.orders.get(task_id)) is not None:
                    map_runs.child_ended(commit, order, signal)
            case signals.MapRunUpdated(task_id=task_id):
                if (order := self.orders.get(task_id)) is not None:
                    map_runs.updated(commit, order, signal)
            case _:
                pass

    def _over(self, commit: Commit, task_id: int) -> None:
        if task_id in self.orders:
            del self.orders[task_id]
            commit.task_over(task_id)

    def _carry_over(self, commit: Commit, decision: effects.Decision, now_ms: int) -> None:
        if decision.unfinished or self._cut:
            commit.unfinished(self.arn, decision.unfinished)
        self._cut = decision.unfinished
        for effect in decision.effects:
            match effect:
                case effects.StartTask():
                    order = Order.of(effect, self.arn)
                    self.orders[effect.task_id] = order
                    commit.task(effect.task_id, dump_order(order), effect.token)
                    if order.kind == ACTIVITY:
                        commit.offer(effect.resource, self._offered(effect))
                case effects.CancelTask(task_id=task_id):
                    self._cancel(commit, task_id)
                case effects.SetTimer(timer=timer, due_ms=due_ms):
                    commit.timer(timer, due_ms)
                case effects.CancelTimer(timer=timer):
                    commit.timer(timer, None)
                case effects.ExecutionEnded():
                    stopped_at_ms = decision.events[-1].at_ms if decision.events else now_ms
                    self._end(commit, effect, stopped_at_ms)
                case _:
                    self._carry_over_map_run(commit, effect, now_ms)

    def _carry_over_map_run(self, commit: Commit, effect: effects.Effect, now_ms: int) -> None:
        if isinstance(effect, effects.StartMapRun):
            self.orders[effect.task_id] = map_runs.begin(commit, self._execution, self._snapshot, effect, now_ms)
            return
        if isinstance(effect, effects.RedriveMapRun):
            self.orders[effect.task_id] = map_runs.redrive(commit, self._execution, self._snapshot, effect, now_ms)
            return
        order = self.orders.get(effect.task_id)  # type: ignore[union-attr]
        if order is None:
            return
        match effect:
            case effects.StartChild():
                map_runs.start_child(commit, order, effect, self._shard.shards, now_ms)
            case effects.WriteResults(writer=writer):
                order.more |= {"writer": writer}
                commit.task(order.task_id, dump_order(order), "")
            case effects.FinishMapRun(status=status):
                map_runs.finish(commit, order, status, now_ms)
                self._finished_runs.append(order.more["map_run"])
                self._over(commit, order.task_id)
            case _:
                raise InvariantViolated(f"unknown effect {effect}")

    def _offered(self, task: effects.StartTask) -> bytes:
        return orjson.dumps(
            {
                "shard": self._shard.number,
                "execution": self.arn,
                "task": task.task_id,
                "token": task.token,
                "input": task.parameters,
            }
        )

    def _cancel(self, commit: Commit, task_id: int) -> None:
        order = self.orders.pop(task_id, None)
        if order is None:
            return
        commit.task_over(task_id)
        if child := order.child:  # a `.sync` child is stopped with its parent
            commit.message(shard_of(child, self._shard.shards), child, write_message(signals.StopRequested()))
        if order.is_job and order.submitted:
            self._unwanted_jobs.append(order)

    def _end(self, commit: Commit, ended: effects.ExecutionEnded, stopped_at_ms: int) -> None:
        for task_id in list(self.orders):
            self._cancel(commit, task_id)
        commit.timer("execution", None)
        outcome = Outcome(Status(ended.status), stopped_at_ms, ended.output, ended.error, ended.cause)
        commit.end(outcome)
        if self._execution.parent:
            self._shard.notify_parent(commit, self._execution, self._snapshot, outcome)

    # --- what is done -------------------------------------------------------------------------------------------
    def _act(self, decided: Sequence[effects.Effect]) -> None:
        finished, self._finished_runs = self._finished_runs, []
        for map_run in finished:
            self._shard.begin(self._shard.stop_children(map_run), f"stop children of {map_run}")
        unwanted, self._unwanted_jobs = self._unwanted_jobs, []
        for order in unwanted:
            stopping = self._shard.performer.stop_job(Surroundings(self._execution, self._snapshot), order)
            self._shard.begin(stopping, f"stop job {order.task_id} of {self.arn}")
        for effect in decided:
            match effect:
                case effects.StartTask(task_id=task_id):
                    if task_id in self.orders:
                        self._perform(self.orders[task_id], resumed=False)
                case effects.CancelTask(task_id=task_id):
                    self._abandon(task_id)
                case effects.SetTimer(due_ms=due_ms):
                    self._shard.timers.set(due_ms)
                case effects.ExecutionEnded():
                    for task_id in list(self._performing):
                        self._abandon(task_id)
                case effects.StartMapRun() | effects.WriteResults():
                    if (one := self.orders.get(effect.task_id)) is not None:
                        self._perform(one, resumed=False)
                case _:
                    pass

    def _perform(self, order: Order, *, resumed: bool) -> None:
        if not order.here or order.task_id in self._performing:
            return
        task = self._shard.begin(self._carried_out(order, resumed), f"task {order.task_id} of {self.arn}")
        self._performing[order.task_id] = task

    def _abandon(self, task_id: int) -> None:
        if (task := self._performing.pop(task_id, None)) is not None:
            task.cancel()

    async def _carried_out(self, order: Order, resumed: bool) -> None:
        surroundings = Surroundings(self._execution, self._snapshot)
        try:
            self.tell(Waiting(await self._shard.performer.perform(surroundings, order, resumed=resumed)))
        finally:
            if self._performing.get(order.task_id) is asyncio.current_task():
                del self._performing[order.task_id]
