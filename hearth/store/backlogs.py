"""What waits in `state` to be taken up by orchestrators, as figures; asked only when they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store


@dataclass(frozen=True, slots=True)
class WorkflowBacklog:
    """Over all execution shards. messages: starts, results and signals that no commit has taken in. lag_s: age of the
    oldest one. timers: those that wait. overdue_s: for how long the first one has been due, on the platform's clock."""

    messages: int = 0
    lag_s: float = 0.0
    timers: int = 0
    overdue_s: float = 0.0


async def workflow_backlog(state: Store, platform_now_ms: int) -> WorkflowBacklog:
    """Raises Unavailable. Nothing, before the first orchestrator or gateway has started."""
    shards = range(int(await state.get(keys.WORKFLOW_SHARDS) or 0))
    redis: Any = state.redis
    pipe = redis.pipeline(transaction=False)
    pipe.time()
    for number in shards:
        pipe.xlen(keys.workflow_inbox(number))
        pipe.xrange(keys.workflow_inbox(number), count=1)
        pipe.zcard(keys.workflow_timers(number))
        pipe.zrange(keys.workflow_timers(number), 0, 0, withscores=True)
    try:
        (seconds, micros), *answers = await pipe.execute()
    except RedisError as exc:
        raise Unavailable(f"state did not answer: {exc}") from exc
    now_ms = seconds * 1000 + micros // 1000
    lengths, oldest, timers, first = (answers[offset::4] for offset in range(4))
    arrived_ms = [int(entries[0][0].partition(b"-")[0]) for entries in oldest if entries]
    due_ms = [score for members in first for _, score in members]
    return WorkflowBacklog(
        messages=sum(lengths),
        lag_s=max(0.0, now_ms - min(arrived_ms, default=now_ms)) / 1000,
        timers=sum(timers),
        overdue_s=max(0.0, platform_now_ms - min(due_ms, default=platform_now_ms)) / 1000,
    )
