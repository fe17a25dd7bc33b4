"""A function as destination: the record is its event, accepted as any other."""

from __future__ import annotations

import uuid

from hearth.broker.event_messages import EventPublisher
from hearth.clock import now_ms
from hearth.model.destination import Destination
from hearth.model.event import Event
from hearth.store.functions import FunctionTable
from pollers.destinations.failures import NotDelivered


async def invoke_function(
    publisher: EventPublisher, functions: FunctionTable, destination: Destination, parcel: Event, most_bytes: int
) -> None:
    """Returns when the broker has stored the event. most_bytes: of an event.

    Raises NotDelivered, Unavailable, TooManyRequests.
    """
    if len(parcel.payload) > most_bytes:
        raise NotDelivered(f"{len(parcel.payload)} bytes are more than an event may have", final=True)
    place = destination.account, destination.region, destination.resource
    if await functions.get(*place) is None:
        raise NotDelivered(f"Function not found: {destination.arn}", final=True)
    account, region, name = place
    event = Event(
        request_id=str(uuid.uuid4()),
        account=account,
        region=region,
        name=name,
        payload=parcel.payload,
        accepted_at_ms=now_ms(),
        qualifier=destination.qualifier,
        # the chain goes on: recursion shows in it
        trace_id=parcel.trace_id,
    )
    await publisher.accept(event)
