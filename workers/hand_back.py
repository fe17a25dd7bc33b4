"""Requests that never started here go on elsewhere: published anew, confirmed, then acknowledged.

Never nacked, which can come straight back.
"""

from __future__ import annotations

import asyncio

from hearth.broker import envelope, topology
from hearth.broker.connection import Channel, PublishRefused
from hearth.errors import HearthError, Unavailable
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store import Store, slots
from workers.delivery import Delivery

#: quorum queues have chosen new leaders by then, when a broker node has died
ELECTION_S = 3.0


class HandBack:
    """publisher: a channel with confirms; None until there is a connection."""

    def __init__(self, coordination: Store) -> None:
        self.publisher: Channel | None = None
        self._coordination = coordination

    async def to_all(self, delivery: Delivery) -> None:
        """To whoever has an idle sandbox or room."""
        await self._republish(delivery, *topology.way_in(delivery.invocation))

    async def to_worker(self, delivery: Delivery, worker_id: str) -> None:
        """To the worker whose idle sandbox must give way for it."""
        await self._republish(delivery, "", topology.worker_queue(worker_id))

    async def _republish(self, delivery: Delivery, exchange: str, routing_key: str) -> None:
        invocation = delivery.invocation
        properties = envelope.invocation_properties(
            invocation, correlation_id=delivery.correlation_id, reply_to=delivery.reply_to
        )
        try:
            await slots.forget_start(self._coordination, invocation.run_id)
            if self.publisher is None:
                raise Unavailable("no connection to the broker")
            try:
                await self.publisher.publish_confirmed(exchange, routing_key, invocation.payload, properties)
            except PublishRefused:  # a broker node died: of the version's queue, or placement has no leader now
                await asyncio.sleep(ELECTION_S)
                await self.publisher.publish_confirmed(topology.PLACEMENT, "", invocation.payload, properties)
        except HearthError as exc:
            if delivery.ours:
                delivery.answer(InvocationResult(Outcome.LOST, detail=f"The request could not be handed back: {exc}"))
            return
        delivery.drop()
