"""Executions in `state`: started, found, listed, and told what reaches them.

What an orchestrator does with them is in `workflow_shards`. Every method raises Unavailable when `state` does not
answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.execution import Execution, Outcome, Snapshot, Status, shard_of
from hearth.model.workflow_arn import parse_workflow_arn
from hearth.store import keys
from hearth.store.client import Store

#: shards of a new platform; the number never changes, for executions live a year
SHARDS = 16
#: quota of Step Functions
MAX_OPEN = 1_000_000
#: snapshots that a process remembers to have stored
_KNOWN_SNAPSHOTS = 1000
#: how often a waiting GetActivityTask looks by itself
_LOOK_EVERY_S = 2.0


class TooManyOpen(Exception):
    """The account has as many open executions as it may have. Nothing was started."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An execution as it stands."""

    execution: Execution
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Started:
    """new False: there was one of this ARN already, which is `execution`, now in `status`."""

    execution: Execution
    status: Status
    new: bool


class ExecutionTable:
    def __init__(self, state: Store) -> None:
        self._state = state
        self._shards = 0
        self._known_snapshots: dict[str, None] = {}
        self._snapshots: dict[str, Snapshot] = {}

    async def shards(self) -> int:
        """How many there are; whoever asks first decides."""
        if not self._shards:
            await self._call(self._state.redis.set(keys.WORKFLOW_SHARDS, SHARDS, nx=True))
            self._shards = int(await self._state.get(keys.WORKFLOW_SHARDS) or SHARDS)
        return self._shards

    async def shard(self, arn: str) -> int:
        return shard_of(arn, await self.shards())

    # --- starting ---------------------------------------------------------------------------------------------
    async def start(self, execution: Execution, snapshot: Snapshot, *, max_open: int = MAX_OPEN) -> Started:
        """Durable when it returns. Raises TooManyOpen."""
        known = execution.snapshot in self._known_snapshots
        reply = await self._start(execution, b"" if known else snapshot.to_json(), max_open)
        if reply[0] == -1:  # the store has lost it, or was restored from an older copy
            reply = await self._start(execution, snapshot.to_json(), max_open)
        if reply[0] == -2:
            raise TooManyOpen
        if not known:
            if len(self._known_snapshots) >= _KNOWN_SNAPSHOTS:
                self._known_snapshots.clear()
            self._known_snapshots[execution.snapshot] = None
        if reply[0] == 1:
            return Started(execution, Status.RUNNING, True)
        return Started(Execution.from_json(reply[1]), Status(reply[2].decode()), False)

    async def _start(self, execution: Execution, snapshot: bytes, max_open: int) -> Any:
        arn = parse_workflow_arn(execution.arn)
        assert arn is not None
        names = [
            keys.execution(execution.arn),
            keys.workflow_inbox(await self.shard(execution.arn)),
            keys.snapshot(execution.snapshot),
            keys.executions_open(arn.account, arn.region),
        ]
        for one in execution.lists:
            names += [keys.executions(one), keys.executions(one, Status.RUNNING)]
        message = orjson.dumps({"signal": "Start"})
        args = [execution.arn, execution.to_json(), snapshot, execution.started_at_ms, max_open, message]
        return await self._state.run("execution_start", keys=names, args=args)

    async def snapshot(self, key: str) -> Snapshot:
        """What the execution keeps of its machine."""
        if key not in self._snapshots:
            data = await self._state.get(keys.snapshot(key))
            if data is None:
                raise Unavailable(f"the snapshot {key} of a state machine is lost")
            if len(self._snapshots) >= _KNOWN_SNAPSHOTS:
                self._snapshots.clear()
            self._snapshots[key] = Snapshot.from_json(data)
        return self._snapshots[key]

    # --- telling ----------------------------------------------------------------------------------------------
    async def tell(self, arn: str, signal: str, **members: Any) -> None:
        """Leave a message for the execution; durable when it returns."""
        message = orjson.dumps({"signal": signal, **members})
        inbox = keys.workflow_inbox(await self.shard(arn))
        await self._call(self._state.redis.xadd(inbox, {"execution": arn, "message": message}))

    async def redrive(self, stored: Stored, *, now_ms: int, client_token: str) -> int | None:
        """When it was redriven (platform epoch ms), now or by this token; None: it runs, or changed meanwhile."""
        execution, status = stored.execution, stored.outcome.status
        arn = parse_workflow_arn(execution.arn)
        assert arn is not None
        names = [
            keys.execution(execution.arn),
            keys.workflow_inbox(await self.shard(execution.arn)),
            keys.executions_open(arn.account, arn.region),
            keys.WORKFLOWS_CLOSED,
            keys.WORKFLOWS_UNARCHIVED,
        ]
        for one in execution.lists:
            names += [keys.executions(one), keys.executions(one, Status.RUNNING), keys.executions(one, status)]
        message = orjson.dumps({"signal": "RedriveRequested"})
        args = [execution.arn, status.value, now_ms, client_token, message]
        reply = await self._state.run("execution_redrive", keys=names, args=args)
        return int(reply[1]) if reply[0] else None

    async def answer_task(self, arn: str, task_id: int, token: str, signal: str, **members: Any) -> bool:
        """SendTask*: False: the task is over."""
        shard = await self.shard(arn)
        message = orjson.dumps({"signal": signal, "task_id": task_id, **members})
        over = 0 if signal == "TaskHeartbeat" else 1
        taken = await self._state.run(
            "task_answer",
            keys=[keys.workflow_tokens(shard), keys.workflow_inbox(shard)],
            args=[f"{arn}|{task_id}", token, arn, message, over],
        )
        return bool(taken)

    async def take_activity_task(self, activity: str, worker_name: str, wait_s: float) -> dict[str, Any] | None:
        """{"token", "input", …}: the oldest task, as soon as there is one; None: none came in time."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        while True:
            raw = await self._state.run("activity_take", keys=[keys.activity_tasks(activity)], args=[worker_name])
            if raw:
                task: dict[str, Any] = orjson.loads(raw)
                return task
            left_s = until_s - loop.time()
            if left_s <= 0:
                return None
            # a hint only: tasks that came without a bell are found by looking
            bell = self._state.waiting.blpop([keys.activity_bell(activity)], timeout=min(left_s, _LOOK_EVERY_S))
            await self._call(bell)

    # --- finding ----------------------------------------------------------------------------------------------
    async def get(self, arn: str) -> Stored | None:
        found = await self._call(self._state.redis.hgetall(keys.execution(arn)))
        return read_stored(found) if found else None

    async def page(self, owner: str, status: str, start: int, limit: int) -> tuple[list[Stored], bool]:
        """Executions of a machine, version, alias or map run, newest first, and whether there are more."""
        key = keys.executions(owner, status)
        arns = await self._call(self._state.redis.zrevrange(key, start, start + limit))
        pipeline = self._state.redis.pipeline(transaction=False)
        for arn in arns[:limit]:
            pipeline.hgetall(keys.execution(arn.decode()))
        found = await self._call(pipeline.execute()) if arns else []
        return [read_stored(one) for one in found if one], len(arns) > limit

    async def running(self, owner: str) -> int:
        return int(await self._call(self._state.redis.zcard(keys.executions(owner, Status.RUNNING))))

    async def stop_all(self, owner: str) -> int:
        """Ask every running execution of a machine to stop; how many there were."""
        arns = await self._call(self._state.redis.zrange(keys.executions(owner, Status.RUNNING), 0, -1))
        message = orjson.dumps({"signal": "StopRequested"})
        pipeline = self._state.redis.pipeline(transaction=False)
        for arn in arns:
            inbox = keys.workflow_inbox(await self.shard(arn.decode()))
            pipeline.xadd(inbox, {"execution": arn, "message": message})
        if arns:
            await self._call(pipeline.execute())
        return len(arns)

    # --- forgetting -------------------------------------------------------------------------------------------
    async def closed_before(self, at_ms: int, limit: int) -> list[str]:
        """ARNs of executions that ended before then, those that ended first first."""
        found = await self._call(
            self._state.redis.zrangebyscore(keys.WORKFLOWS_CLOSED, "-inf", at_ms, start=0, num=limit)
        )
        return [arn.decode() for arn in found]

    async def forget(self, arn: str) -> bool:
        """Remove a closed execution, its history and its map runs; False: it was redriven meanwhile."""
        stored = await self.get(arn)
        runs = [run for run, _ in await self.map_runs(arn)]
        doomed = [keys.history(arn), keys.workflow_state(arn), keys.map_runs(arn), *map(keys.map_run, runs)]
        lists: list[str] = []
        status = ""
        if stored is not None:
            status = stored.outcome.status.value
            for owner in stored.execution.lists:
                lists += [keys.executions(owner), keys.executions(owner, status)]
        names = [keys.execution(arn), keys.WORKFLOWS_CLOSED, *doomed, *lists, keys.WORKFLOWS_UNARCHIVED]
        return bool(await self._state.run("execution_forget", keys=names, args=[arn, status, len(doomed)]))

    # --- map runs ---------------------------------------------------------------------------------------------
    async def map_run(self, arn: str) -> dict[str, str] | None:
        found = await self._call(self._state.redis.hgetall(keys.map_run(arn)))
        return _texts(found) if found else None

    async def children_running(self, execution: str) -> int:
        """Of all its map runs."""
        pipeline = self._state.redis.pipeline(transaction=False)
        for run, _ in await self.map_runs(execution):
            pipeline.zcard(keys.executions(run, Status.RUNNING))
        return sum(await self._call(pipeline.execute()))

    async def map_runs(self, execution: str) -> list[tuple[str, dict[str, str]]]:
        """(ARN, members), newest first."""
        arns = await self._call(self._state.redis.zrevrange(keys.map_runs(execution), 0, -1))
        pipeline = self._state.redis.pipeline(transaction=False)
        for arn in arns:
            pipeline.hgetall(keys.map_run(arn.decode()))
        found: Sequence[Any] = await self._call(pipeline.execute()) if arns else []
        return [(arn.decode(), _texts(one)) for arn, one in zip(arns, found, strict=True) if one]

    async def status_counts(self, owner: str) -> dict[Status, int]:
        """How many executions of a map run are in each status."""
        pipeline = self._state.redis.pipeline(transaction=False)
        for status in Status:
            pipeline.zcard(keys.executions(owner, status))
        return dict(zip(Status, await self._call(pipeline.execute()), strict=True))

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc


def read_stored(found: dict[bytes, bytes]) -> Stored:
    """From the execution's hash."""

    def text(name: bytes) -> str | None:
        value = found.get(name)
        return None if value is None else value.decode()

    return Stored(
        Execution.from_json(found[b"start"]),
        Outcome(
            status=Status(found[b"status"].decode()),
            stopped_at_ms=int(found.get(b"stopped", 0)),
            output=text(b"output"),
            error=text(b"error"),
            cause=text(b"cause"),
            redrives=int(found.get(b"redrives", 0)),
            redriven_at_ms=int(found.get(b"redriven", 0)),
        ),
    )


def _texts(found: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in found.items()}
