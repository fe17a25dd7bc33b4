"""When a change of a function is in force everywhere: gateways acknowledge it, or their cache's lease runs out.

Until then the function is Pending or its LastUpdateStatus is InProgress. The gateway that made the change settles it;
if that one dies, whoever reads the record later does.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from gateway.epoch_lease import LEASE_S
from gateway.function_cache import FunctionCache
from hearth.broker.control import Change, ControlBus
from hearth.clock import Deadline, now_ms
from hearth.errors import HearthError
from hearth.model.function import FunctionVersion
from hearth.store import Store, keys
from hearth.store.functions import FunctionRecord, FunctionTable

log = logging.getLogger(__name__)

#: every cache has read the epoch anew by then, or is not believed any more
SETTLE_AFTER_S = LEASE_S + 0.2
#: an update shows as InProgress for at least as long, as scripts written for AWS expect that refuse a second one
UPDATE_AT_LEAST_S = 0.25
#: a record unsettled for this long has lost the gateway that was to settle it
ABANDONED_AFTER_MS = 5_000
HEARTBEAT_S = 0.5
GATEWAY_LIFE_MS = 2_000
ACK_LIFE_S = 10
_POLL_ACKS_S = 0.01


@dataclass(frozen=True, slots=True)
class _Unsettled:
    records: tuple[FunctionRecord, ...]
    change: Change
    at_least_s: float


class Settler:
    """One per process. Announces changes, acknowledges those of others, settles its own."""

    def __init__(
        self, functions: FunctionTable, cache: FunctionCache, coordination: Store, control: ControlBus
    ) -> None:
        self.gateway_id = uuid.uuid4().hex
        self._functions = functions
        self._cache = cache
        self._coordination = coordination
        self._control = control
        self._changed: asyncio.Queue[_Unsettled] = asyncio.Queue(maxsize=10_000)
        self._to_acknowledge: asyncio.Queue[str] = asyncio.Queue(maxsize=10_000)

    def on_change(self, change: Change) -> None:
        """A change, of ours or another's, came over the control bus."""
        if change.kind != "function":
            return
        self._cache.drop(change.account, change.region, change.name)
        if not self._to_acknowledge.full():
            self._to_acknowledge.put_nowait(change.change_id)

    async def announce(
        self,
        record: FunctionRecord,
        *,
        published: FunctionRecord | None = None,
        retired_keys: Sequence[str] = (),
        at_least_s: float = 0.0,
    ) -> None:
        """`record` has just been stored: tell everybody, and settle it in the background if it isn't settled.

        published: a version made of it in the same step, settled with it. at_least_s: not before.
        """
        change = await self._publish(record.version, retired_keys)
        if not record.settled:
            # The version first: who has waited for the function finds both settled.
            records = (published, record) if published else (record,)
            await self._changed.put(_Unsettled(records, change, at_least_s))

    async def spread(self, version: FunctionVersion, *, retired_keys: Sequence[str] = ()) -> None:
        """An alias of `version`'s function or a record beside it has just been stored: returns when it is in force.

        That is once every gateway has let go of the function as it was; at the latest when their leases have run out.
        """
        deadline = Deadline.after(SETTLE_AFTER_S)
        await self._all_acknowledged(await self._publish(version, retired_keys), deadline)

    async def _publish(self, version: FunctionVersion, retired_keys: Sequence[str]) -> Change:
        self._cache.drop(version.account, version.region, version.name)
        change = Change(
            kind="function",
            account=version.account,
            region=version.region,
            name=version.name,
            change_id=uuid.uuid4().hex,
            retired_keys=tuple(retired_keys),
        )
        try:
            await self._control.publish(change)
        except HearthError as exc:
            # The epoch in `state` tells the gateways too, only later.
            log.warning("change not announced", extra={"action": "change_not_announced", "error": str(exc)})
        return change

    async def healed(self, record: FunctionRecord) -> FunctionRecord:
        """The record as it is to be shown: settled here and now if the gateway that should have done it is gone."""
        if record.settled or now_ms() - record.unsettled_since_ms < ABANDONED_AFTER_MS:
            return record
        settled = record.settle()
        return settled if await self._functions.replace(record, settled) else record

    async def run(self) -> None:
        """Runs for the life of the process, in a task of its owner's."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._register())
            tasks.create_task(self._acknowledge())
            while True:
                tasks.create_task(self._settle(await self._changed.get()))

    async def _settle(self, unsettled: _Unsettled) -> None:
        deadline = Deadline.after(SETTLE_AFTER_S)
        try:
            await self._all_acknowledged(unsettled.change, deadline)
            await asyncio.sleep(unsettled.at_least_s - (deadline.budget_s - deadline.remaining_s))
            for record in unsettled.records:
                settled = record.settle()
                if await self._functions.replace(record, settled):
                    await self.announce(settled)
        except HearthError as exc:
            # Whoever reads the record after ABANDONED_AFTER_MS heals it.
            log.warning("change not settled", extra={"action": "change_not_settled", "error": str(exc)})

    async def _all_acknowledged(self, change: Change, deadline: Deadline) -> None:
        """Returns when every live gateway has acknowledged, at the latest at the deadline."""
        try:
            async with deadline.scope():
                while True:
                    if await self._acknowledged_by_all(change):
                        return
                    await asyncio.sleep(_POLL_ACKS_S)
        except TimeoutError:
            return
        except RedisError:
            # `coordination` may be away: then the leases' end is all that tells.
            await asyncio.sleep(deadline.remaining_s)

    async def _acknowledged_by_all(self, change: Change) -> bool:
        redis = self._coordination.redis
        live = await redis.zrangebyscore(keys.GATEWAYS, now_ms(), "+inf")
        acknowledged = await redis.smembers(keys.ack(change.change_id))
        return bool(live) and set(live) <= set(acknowledged)

    async def _register(self) -> None:
        redis = self._coordination.redis
        while True:
            try:
                now = now_ms()
                await redis.zadd(keys.GATEWAYS, {self.gateway_id: now + GATEWAY_LIFE_MS})
                await redis.zremrangebyscore(keys.GATEWAYS, "-inf", now - GATEWAY_LIFE_MS)
            except RedisError as exc:
                log.warning("gateway not registered", extra={"action": "not_registered", "error": str(exc)})
            await asyncio.sleep(HEARTBEAT_S)

    async def _acknowledge(self) -> None:
        redis = self._coordination.redis
        while True:
            key = keys.ack(await self._to_acknowledge.get())
            try:
                async with redis.pipeline(transaction=False) as pipeline:
                    pipeline.sadd(key, self.gateway_id)
                    pipeline.expire(key, ACK_LIFE_S)
                    await pipeline.execute()
            except RedisError as exc:
                log.warning("change not acknowledged", extra={"action": "not_acknowledged", "error": str(exc)})
