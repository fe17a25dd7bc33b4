"""Sending a record, or a dead letter, to where it is to go. One kind of destination, one file (AWS's four in one).

`send` returns when the other side has accepted it and raises otherwise; what follows from a failure is decided in
`pollers.event_retry`.
"""

from __future__ import annotations

from hearth.aws_clients import AwsClients
from hearth.broker.connection import Broker
from hearth.broker.event_messages import EventPublisher
from hearth.clock import Deadline
from hearth.errors import HearthError, Unavailable
from hearth.model.destination import DestinationKind, parse_destination
from hearth.model.event import Event
from hearth.settings import Settings
from hearth.store import Store
from hearth.store.functions import FunctionTable
from hearth.store.identities import IdentityTable
from pollers.destinations import aws_services
from pollers.destinations.exchanges import ExchangePublisher
from pollers.destinations.failures import NotDelivered
from pollers.destinations.functions import invoke_function
from pollers.destinations.permission import RolePermissions

__all__ = ["Destinations", "NotDelivered"]

#: of one attempt to deliver
SEND_S = 10.0


class Destinations:
    """All kinds behind one method."""

    def __init__(
        self, settings: Settings, broker: Broker, publisher: EventPublisher, state: Store, aws: AwsClients
    ) -> None:
        self._publisher = publisher
        self._functions = FunctionTable(state)
        self._permissions = RolePermissions(self._functions, IdentityTable(state), permissive=settings.permissive)
        self._aws = aws
        self._most_bytes = settings.max_event_bytes
        self._exchanges = ExchangePublisher(broker)

    async def send(self, parcel: Event) -> None:
        """parcel: an event with a `delivery`; its payload is what is sent. Raises NotDelivered."""
        delivery = parcel.delivery
        assert delivery is not None
        destination = parse_destination(delivery.target)
        if destination is None:
            raise NotDelivered(f"{delivery.target} names nothing that records can be sent to", final=True)
        if destination.fifo:
            raise NotDelivered("FIFO queues and topics can't be destinations", final=True)
        try:
            await self._permissions.check(destination, parcel)
            match destination.kind:
                case DestinationKind.FUNCTION:
                    await invoke_function(self._publisher, self._functions, destination, parcel, self._most_bytes)
                case DestinationKind.EXCHANGE:
                    await self._exchanges.publish(destination, parcel)
                case _:
                    await aws_services.send(self._aws, destination, parcel, Deadline.after(SEND_S))
        except Unavailable as exc:
            raise NotDelivered(str(exc), final=False) from exc
        except NotDelivered:
            raise
        except HearthError as exc:
            raise NotDelivered(str(exc), final=exc.status < 500 and exc.status != 429) from exc
