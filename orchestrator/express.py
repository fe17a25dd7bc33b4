"""Express executions: in memory from start to end, awaited by their caller or accepted from the durable queue.

Timers are the loop's own, tasks run beside; nothing is stored. An accepted one whose process dies runs once more.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from typing import Any

from hearth.asl.definition import Definition
from hearth.errors import ApiError
from hearth.model.execution import Execution, Snapshot
from hearth.platform_clock import PlatformClock
from hearth.settings import Settings
from orchestrator.core import effects, signals
from orchestrator.core.decide import decide, start
from orchestrator.core.state import ExecutionState, Identity
from orchestrator.definitions import Definitions
from orchestrator.logs import ExecutionLogs
from orchestrator.orders import Order
from orchestrator.perform import Performer, Surroundings
from orchestrator.trials import Trials

log = logging.getLogger(__name__)

#: what AWS bills an Express execution's memory by
BILLED_MB = 64


class Express:
    """The process's Express executions."""

    def __init__(
        self,
        settings: Settings,
        clock: PlatformClock,
        definitions: Definitions,
        performer: Performer,
        logs: ExecutionLogs,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._definitions = definitions
        self._performer = performer
        self._logs = logs
        self._trials = Trials(clock, performer)

    async def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """A call that its caller awaits."""
        if operation == "StartSyncExecution":
            return await self._start_sync(body)
        if operation == "TestState":
            return await self._trials.test_state(body)
        raise ApiError("UnknownOperationException", 400, f"no such operation: {operation}")

    async def run(self, body: dict[str, Any]) -> None:
        """An accepted execution, to its end."""
        await self._execution(body).run()

    async def _start_sync(self, body: dict[str, Any]) -> dict[str, Any]:
        one = self._execution(body)
        ended = await one.run()
        stopped = self._clock.now_ms()
        started = body["started_at_ms"]
        answer = {
            "executionArn": body["arn"],
            "stateMachineArn": body["snapshot"]["machine_arn"],
            "name": body["name"],
            "startDate": started / 1000,
            "stopDate": stopped / 1000,
            "status": ended.status,
            "input": body["input"],
            "inputDetails": {"included": True},
            "output": ended.output,
            "outputDetails": {"included": True},
            "error": ended.error,
            "cause": ended.cause,
            "traceHeader": body["trace_header"] or None,
            "billingDetails": {
                "billedDurationInMilliseconds": max(100, -(-(stopped - started) // 100) * 100),
                "billedMemoryUsedInMB": BILLED_MB,
            },
        }
        if ended.status == "TIMED_OUT":
            answer |= {"error": "States.Timeout"}
        return {name: value for name, value in answer.items() if value is not None}

    def _execution(self, body: dict[str, Any]) -> ExpressExecution:
        key = body["snapshot_key"]
        known = self._definitions.known(key)
        if known is None:
            known = self._definitions.keep(key, Snapshot(**body["snapshot"]))
        snapshot, definition = known
        execution = Execution(
            arn=body["arn"],
            machine_arn=snapshot.machine_arn,
            name=body["name"],
            input=body["input"],
            started_at_ms=body["started_at_ms"],
            snapshot=key,
            version_arn=body["version_arn"],
            alias_arn=body["alias_arn"],
            trace_header=body["trace_header"],
        )
        return ExpressExecution(
            execution, snapshot, definition, self._settings, self._clock, self._performer, self._logs
        )


class ExpressExecution:
    """One of them; `run` is its life."""

    def __init__(
        self,
        execution: Execution,
        snapshot: Snapshot,
        definition: Definition,
        settings: Settings,
        clock: PlatformClock,
        performer: Performer,
        logs: ExecutionLogs,
    ) -> None:
        self._execution = execution
        self._snapshot = snapshot
        self._definition = definition
        self._settings = settings
        self._clock = clock
        self._performer = performer
        self._logs = logs
        self._waiting: list[signals.Signal] = []
        self._some = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._performing: dict[int, asyncio.Task[None]] = {}
        self._ended: effects.ExecutionEnded | None = None

    async def run(self) -> effects.ExecutionEnded:
        now = self._clock.now_ms()
        state, decision = start(
            self._definition, self._identity(), self._execution.input, at_ms=now, random=random.random()
        )
        try:
            self._act(decision)
            while self._ended is None:
                await self._next(state)
            return self._ended
        finally:
            for timer in self._timers.values():
                timer.cancel()
            for task in self._performing.values():
                task.cancel()

    async def _next(self, state: ExecutionState) -> None:
        await self._some.wait()  # the execution's own timer bounds it
        self._some.clear()
        given, self._waiting = self._waiting, []
        decision = decide(self._definition, state, given, at_ms=self._clock.now_ms(), random=random.random())
        self._act(decision)

    def _tell(self, signal: signals.Signal) -> None:
        self._waiting.append(signal)
        self._some.set()

    def _act(self, decision: effects.Decision) -> None:
        self._logs.write(self._execution, self._snapshot, 0, decision.events)
        for effect in decision.effects:
            match effect:
                case effects.StartTask(task_id=task_id):
                    order = Order.of(effect, self._execution.arn)
                    # owner: `run`, which cancels what is left at the execution's end
                    self._performing[task_id] = asyncio.create_task(self._perform(order))
                case effects.CancelTask(task_id=task_id):
                    if (task := self._performing.pop(task_id, None)) is not None:
                        task.cancel()
                case effects.SetTimer(timer=timer, due_ms=due_ms):
                    self._set_timer(timer, due_ms)
                case effects.CancelTimer(timer=timer):
                    if (handle := self._timers.pop(timer, None)) is not None:
                        handle.cancel()
                case effects.ExecutionEnded():
                    self._ended = effect
                case _:
                    raise AssertionError(f"not in an Express execution: {effect}")
        if decision.unfinished:
            # others have their turn before
            asyncio.get_running_loop().call_soon(self._tell, signals.Continue())

    def _set_timer(self, timer: str, due_ms: int) -> None:
        if (handle := self._timers.pop(timer, None)) is not None:
            handle.cancel()
        loop = asyncio.get_running_loop()
        delay_s = self._clock.real_s_until(due_ms)
        self._timers[timer] = loop.call_later(delay_s, self._tell, signals.TimerFired(timer))

    async def _perform(self, order: Order) -> None:
        surroundings = Surroundings(self._execution, self._snapshot)
        self._tell(await self._performer.perform(surroundings, order, resumed=False))

    def _identity(self) -> Identity:
        execution, snapshot = self._execution, self._snapshot
        return Identity(
            arn=execution.arn,
            name=execution.name,
            role_arn=snapshot.role_arn,
            state_machine_arn=execution.machine_arn,
            state_machine_name=snapshot.name,
            started_at_ms=execution.started_at_ms,
            secret=secrets.token_hex(16),
            express=True,
            version_arn=execution.version_arn or None,
            alias_arn=execution.alias_arn or None,
            max_data_bytes=self._settings.workflow_data_bytes,
            max_duration_s=int(self._settings.express_seconds),
        )
