"""The members' consumers: each ready sandbox has a channel and a prefetch-1 consumer on its version's queue.

The queue carries an epoch in its name. Where its home node is down it can't be declared: the epoch is raised, and every
member moves on to the next one's queue (see hearth/broker/topology.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any

from hearth.broker import topology
from hearth.broker.connection import Broker, ChannelClosed
from hearth.broker.node_loss import NodeLoss
from hearth.errors import HearthError, Unavailable
from workers.delivery import Lane, received
from workers.late_answers import LateAnswers
from workers.member import Member
from workers.slot_claims import SlotClaims
from workers.version_pool import VersionPool

if TYPE_CHECKING:
    from workers.pool import Pool

log = logging.getLogger(__name__)

#: how often a broken consumer is tried again
ATTACH_PAUSE_S = 0.5
#: AMQP's reply code when a queue isn't there, and RabbitMQ's when its home node is down
NOT_FOUND = 404


class Consumers:
    """What they get goes to `pool`, which is told after both are made."""

    pool: Pool

    def __init__(
        self, broker: Broker, slots: SlotClaims, tasks: asyncio.TaskGroup, node_loss: NodeLoss, answers: LateAnswers
    ) -> None:
        self._broker = broker
        self._slots = slots
        self._tasks = tasks
        self._node_loss = node_loss
        self._answers = answers

    def lane_answers(self) -> LateAnswers | None:
        """With one broker node, a lost connection means that the callers have lost theirs."""
        return self._answers if self._broker.replicated else None

    async def attach(self, pool: VersionPool, member: Member) -> None:
        """Declare the version's queue and consume from it for this member."""
        async with member.attaching:
            while self._broker.alive and not member.retiring and not member.consumes(epoch := pool.epoch):
                try:
                    await self._consume(pool, member, epoch)
                except ChannelClosed as exc:
                    if exc.reply_code == NOT_FOUND:
                        await self._raise_epoch(pool, epoch)
                    else:
                        log.warning("no consumer", extra={"action": "attach_failed", "reason": str(exc)})
                        await asyncio.sleep(ATTACH_PAUSE_S)
                except Unavailable as exc:  # if the connection is gone, `attach_all` runs when it is back
                    log.warning("no consumer", extra={"action": "attach_failed", "reason": str(exc)})
                    await asyncio.sleep(ATTACH_PAUSE_S)

    async def attach_all(self) -> None:
        """There is a connection again."""
        for pool in self.pool.versions.values():
            for member in pool.members:
                self.reattach(pool, member)

    def reattach(self, pool: VersionPool, member: Member) -> None:
        """See to it that the member consumes from the queue of the epoch now in force."""
        if not member.retiring and not self.pool.draining:
            self._tasks.create_task(self._attach_anew(pool, member), name=f"attach-{member.sandbox.id}")

    async def detach(self, member: Member) -> None:
        """Stop consuming for it. Deliveries that were on their way have come when this returns."""
        async with member.attaching:
            await self._end_consumer(member)

    # --- private ----------------------------------------------------------------------------------------------
    async def _attach_anew(self, pool: VersionPool, member: Member) -> None:
        """Others may have moved on already, and the queue's node may be back meanwhile."""
        with contextlib.suppress(Unavailable):
            self.pool.move(pool, await self._slots.current_epoch(pool.version.key))
        await self.attach(pool, member)

    async def _raise_epoch(self, pool: VersionPool, seen: int) -> None:
        """The home node of that epoch's queue is down: everybody moves on to the next one's."""
        try:
            epoch = await self._slots.raise_epoch(pool.version.key, seen)
        except Unavailable as exc:
            log.warning("epoch not raised", extra={"action": "epoch_failed", "reason": str(exc)})
            await asyncio.sleep(ATTACH_PAUSE_S)
        else:
            self.pool.move(pool, epoch)

    async def _consume(self, pool: VersionPool, member: Member, epoch: int) -> None:
        """A new channel and consumer for the member; the old one, if any, ends."""
        await self._end_consumer(member)
        old = member.lane
        lane = Lane(await self._broker.channel(prefetch=1), self.lane_answers())
        try:
            queue = await topology.declare_invoke(lane.channel, pool.version.key, epoch)
            member.lane, member.epoch = lane, epoch
            if old is not None:
                self._tasks.create_task(old.close(), name=f"close-{member.sandbox.id}")
            member.tag = await lane.channel.consume(
                queue,
                functools.partial(self._on_warm, pool, member, lane),
                arguments={"x-priority": member.priority},
                on_cancel=functools.partial(self._on_cancelled, pool, member, lane),
            )
        except Unavailable:
            await lane.channel.close()
            raise
        lane.channel.closed.add_done_callback(lambda _closed: self._on_cancelled(pool, member, lane))

    def _on_warm(
        self, pool: VersionPool, member: Member, lane: Lane, _channel: Any, method: Any, properties: Any, body: bytes
    ) -> None:
        delivery = received(lane, method, properties, body, placed=False)
        if delivery is not None:
            self.pool.offer(pool, delivery, member)

    def _on_cancelled(self, pool: VersionPool, member: Member, lane: Lane) -> None:
        """The broker ended a consumer (the queue's node died, or the queue was deleted) or closed its channel."""
        if member.lane is lane and self._broker.alive:
            member.tag = ""
            self._node_loss.announce()
            self.reattach(pool, member)

    @staticmethod
    async def _end_consumer(member: Member) -> None:
        lane = member.lane
        if lane is None or not lane.is_open or not member.tag:
            return
        tag, member.tag = member.tag, ""
        with contextlib.suppress(HearthError):  # a closed channel delivers nothing either
            await lane.channel.cancel(tag)
