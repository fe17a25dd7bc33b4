"""What an orchestrator does with the executions of a shard that it has leased: load, commit, timers, inbox.

A commit is one Lua call: state, history, what is to be done next and what has been taken from the inbox, all or
nothing, and only while the lease and the execution are as they were when the decision was made. Every method raises
Unavailable when `state` does not answer; a commit may have been carried out then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import HearthError, Unavailable
from hearth.model.execution import Execution, Outcome, Status
from hearth.model.workflow_arn import parse_workflow_arn
from hearth.store import keys
from hearth.store.client import Store
from hearth.store.executions import Stored, read_stored
from hearth.store.pipeline import Pipeline

#: Lua's stack: arguments of one command
MAX_ARGUMENTS = 1000
#: messages read at once from one inbox
READ_COUNT = 200
READ_BLOCK_MS = 1000
#: prefix of the pieces of a stored state that are the shell's: tasks that have not ended
TASK_PIECE = "task:"
#: among a shard's tasks, stands for what goes on by itself; ids of tasks begin at 1
UNFINISHED = 0


class LeaseLost(HearthError):
    """Another orchestrator has the shard. Nothing was written."""


class Overtaken(HearthError):
    """The execution is not as it was read. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Message:
    """What an inbox holds. id: of its entry; it is deleted by the commit that takes it in."""

    id: str
    execution: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """An execution from the store. pieces: its state, empty before the first commit; tasks: those not ended, JSON."""

    stored: Stored
    version: int
    pieces: dict[str, bytes]
    tasks: dict[int, bytes]


@dataclass(slots=True)
class Commit:
    """Commands gathered for one execution; keys are numbered as the script wants them."""

    shard: int
    execution: Execution
    version: int
    #: key -> its number
    names: dict[str, int] = field(default_factory=dict)
    arguments: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = {keys.workflow_fence(self.shard): 1, keys.execution(self.execution.arn): 2}

    def add(self, command: str, key: str, *arguments: Any) -> None:
        number = self.names.setdefault(key, len(self.names) + 1)
        self.arguments += (command, number, len(arguments), *arguments)

    # --- what an execution changes ------------------------------------------------------------------------------
    def state(self, pieces: dict[str, bytes | None]) -> None:
        """None: the piece is gone."""
        key = keys.workflow_state(self.execution.arn)
        kept = [item for name, piece in pieces.items() if piece is not None for item in (name, piece)]
        gone = [name for name, piece in pieces.items() if piece is None]
        for part in _parts(kept):
            self.add("HSET", key, *part)
        for part in _parts(gone):
            self.add("HDEL", key, *part)

    def history(self, records: Iterable[bytes]) -> None:
        for part in _parts(list(records)):
            self.add("RPUSH", keys.history(self.execution.arn), *part)

    def taken(self, messages: Sequence[str]) -> None:
        for part in _parts(messages):
            self.add("XDEL", keys.workflow_inbox(self.shard), *part)

    def timer(self, name: str, due_ms: int | None) -> None:
        """None: no such timer any more."""
        key, member = keys.workflow_timers(self.shard), f"{self.execution.arn}|{name}"
        if due_ms is None:
            self.add("ZREM", key, member)
        else:
            self.add("ZADD", key, due_ms, member)

    def task(self, task_id: int, order: bytes, token: str) -> None:
        """Ordered: whoever holds the shard sees to it. token: by which it is ended from outside; empty if it isn't."""
        member = f"{self.execution.arn}|{task_id}"
        self.add("HSET", keys.workflow_state(self.execution.arn), f"{TASK_PIECE}{task_id}", order)
        self.add("SADD", keys.workflow_tasks(self.shard), member)
        if token:
            self.add("HSET", keys.workflow_tokens(self.shard), member, token)

    def task_over(self, task_id: int) -> None:
        member = f"{self.execution.arn}|{task_id}"
        self.add("HDEL", keys.workflow_state(self.execution.arn), f"{TASK_PIECE}{task_id}")
        self.add("SREM", keys.workflow_tasks(self.shard), member)
        self.add("HDEL", keys.workflow_tokens(self.shard), member)

    def unfinished(self, arn: str, is_so: bool) -> None:
        """Whether whoever takes the shard over goes on with it: an execution whose decision was cut, or a map run
        whose children are to be stopped."""
        self.add("SADD" if is_so else "SREM", keys.workflow_tasks(self.shard), f"{arn}|{UNFINISHED}")

    def offer(self, activity: str, task: bytes) -> None:
        """A task for the activity's workers."""
        self.add("RPUSH", keys.activity_tasks(activity), task)
        self.add("RPUSH", keys.activity_bell(activity), "1")
        self.add("LTRIM", keys.activity_bell(activity), -1000, -1)

    def message(self, shard: int, execution: str, body: bytes) -> None:
        """To another execution, or to itself."""
        self.add("XADD", keys.workflow_inbox(shard), "*", "execution", execution, "message", body)

    def end(self, outcome: Outcome) -> None:
        """The execution is closed. One that succeeded can't be redriven: its state goes."""
        execution = self.execution
        fields: list[Any] = ["status", outcome.status.value, "stopped", outcome.stopped_at_ms]
        for name in ("output", "error", "cause"):
            if (value := getattr(outcome, name)) is not None:
                fields += [name, value]
        self.add("HSET", keys.execution(execution.arn), *fields)
        for owner in execution.lists:
            self.add("ZREM", keys.executions(owner, Status.RUNNING), execution.arn)
            self.add("ZADD", keys.executions(owner, outcome.status), outcome.stopped_at_ms, execution.arn)
        arn = parse_workflow_arn(execution.arn)
        assert arn is not None
        self.add("DECR", keys.executions_open(arn.account, arn.region))
        self.add("ZADD", keys.WORKFLOWS_CLOSED, outcome.stopped_at_ms, execution.arn)
        self.add("ZADD", keys.WORKFLOWS_UNARCHIVED, outcome.stopped_at_ms, execution.arn)
        if outcome.status is Status.SUCCEEDED:
            self.add("DEL", keys.workflow_state(execution.arn))


class ShardStore:
    """Of all shards that a process holds."""

    def __init__(self, state: Store, pipeline: Pipeline) -> None:
        self._state = state
        self._pipeline = pipeline

    async def load(self, arn: str) -> Loaded | None:
        """None: it is deleted."""
        found, raw = await self._both(arn)
        if not found:
            return None
        pieces = {name.decode(): piece for name, piece in raw.items()}
        tasks = {int(name[len(TASK_PIECE) :]): pieces.pop(name) for name in list(pieces) if name.startswith(TASK_PIECE)}
        return Loaded(read_stored(found), int(found[b"version"]), pieces, tasks)

    async def _both(self, arn: str) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        found, raw = await asyncio.gather(
            self._pipeline.call("HGETALL", keys.execution(arn)),
            self._pipeline.call("HGETALL", keys.workflow_state(arn)),
        )
        return _mapping(found), _mapping(raw)

    async def commit(self, commit: Commit, token: int) -> None:
        """Raises LeaseLost, Overtaken."""
        arguments = [token, commit.version, *commit.arguments]
        reply = await self._pipeline.script("execution_commit", list(commit.names), arguments)
        if reply == 0:
            raise LeaseLost(f"shard {commit.shard} has another holder")
        if reply == -1:
            raise Overtaken(f"{commit.execution.arn} is not at version {commit.version}")

    async def read_inboxes(self, after: dict[int, str]) -> list[tuple[int, Message]]:
        """(shard, message): those after the ids given, as soon as there are some; may be empty after a while."""
        names = {keys.workflow_inbox(shard): shard for shard in after}
        streams: Any = {name: after[shard] for name, shard in names.items()}
        reply = await self._call(self._state.waiting.xread(streams, count=READ_COUNT, block=READ_BLOCK_MS))
        found = []
        for name, entries in _streams(reply):
            shard = names[name.decode()]
            for entry_id, fields in entries:
                message = Message(entry_id.decode(), fields[b"execution"].decode(), fields[b"message"])
                found.append((shard, message))
        return found

    async def drop_messages(self, shard: int, ids: Sequence[str]) -> None:
        """Of executions that are deleted."""
        await self._pipeline.call("XDEL", keys.workflow_inbox(shard), *ids)

    async def due_timers(self, shard: int, now_ms: int, limit: int) -> list[tuple[str, str]]:
        """(execution, timer) of those that are due, the longest due first."""
        found = await self._pipeline.call(
            "ZRANGEBYSCORE", keys.workflow_timers(shard), "-inf", now_ms, "LIMIT", 0, limit
        )
        return [_pair(member) for member in found]

    async def next_timer(self, shard: int) -> float | None:
        """When the next one is due, platform epoch ms."""
        found = await self._pipeline.call("ZRANGE", keys.workflow_timers(shard), 0, 0, "WITHSCORES")
        if not found:
            return None
        return float(found[0][1] if isinstance(found[0], (list, tuple)) else found[1])

    async def drop_timer(self, shard: int, execution: str, timer: str) -> None:
        """Of an execution that is deleted."""
        await self._pipeline.call("ZREM", keys.workflow_timers(shard), f"{execution}|{timer}")

    async def tasks(self, shard: int) -> list[tuple[str, int]]:
        """(execution, task) of all that were ordered and have not ended; task UNFINISHED: see Commit.unfinished."""
        found = await self._pipeline.call("SMEMBERS", keys.workflow_tasks(shard))
        return [(execution, int(task)) for execution, task in map(_pair, found)]

    async def drop_task(self, shard: int, execution: str, task: int) -> None:
        """Of an execution that is deleted, or of what is unfinished no more."""
        await self._pipeline.call("SREM", keys.workflow_tasks(shard), f"{execution}|{task}")

    async def _call(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except (RedisError, OSError) as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc


def _parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(items), MAX_ARGUMENTS):
        yield items[start : start + MAX_ARGUMENTS]


def _pair(member: bytes) -> tuple[str, str]:
    execution, _, name = member.decode().rpartition("|")
    return execution, name


def _mapping(reply: Any) -> dict[bytes, bytes]:
    """HGETALL's answer: flat, or a mapping, by the protocol's version."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def _streams(reply: Any) -> Iterable[Any]:
    if not reply:
        return ()
    if isinstance(reply, dict):
        return [(name, entries[0] if len(entries) == 1 else entries) for name, entries in reply.items()]
    return reply
