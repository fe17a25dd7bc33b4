"""An exchange of the platform's own broker as destination.

The record is a persistent message with the request's id; it counts as delivered when a queue has it. An exchange that
isn't there closes the channel, so each delivery has a channel of its own.
"""

from __future__ import annotations

from pika import BasicProperties

from hearth.broker.connection import Broker, Unconfirmed
from hearth.model.destination import Destination
from hearth.model.event import Event
from pollers.destinations.failures import NotDelivered

_PERSISTENT = 2


class ExchangePublisher:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def publish(self, destination: Destination, parcel: Event) -> None:
        """Raises NotDelivered, Unavailable."""
        name, routing_key = destination.exchange
        assert parcel.delivery is not None
        properties = BasicProperties(
            content_type="application/json",
            delivery_mode=_PERSISTENT,
            message_id=parcel.request_id,
            type=parcel.delivery.condition,
            headers={"function": parcel.invoked_arn},
        )
        channel = await self._broker.channel()
        try:
            await channel.confirm_publishes()
            await channel.publish_confirmed(name, routing_key, parcel.payload, properties)
        except Unconfirmed as exc:
            if channel.closed.done() and channel.closed.result().reply_code == 404:
                raise NotDelivered(f"there is no exchange {name}", final=True) from exc
            raise
        finally:
            await channel.close()
