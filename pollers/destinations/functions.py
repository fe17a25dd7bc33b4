"""A function as destination: the record is its event, accepted as any other.

One of another account must let this one in by its own policy.
Source: Lambda Developer Guide, resource-based policies; IAM User Guide, cross-account access.
"""

from __future__ import annotations

import uuid

import orjson

from hearth.arn import LATEST
from hearth.broker.event_messages import EventPublisher
from hearth.clock import now_ms
from hearth.model.destination import Destination
from hearth.model.event import Event
from hearth.policies import Access, Principal, Verdict, decide
from hearth.store.functions import Beside, Function, FunctionTable
from pollers.destinations.failures import NotDelivered


def lets_in(function: Function, destination: Destination, account: str) -> bool:
    """Whether the policy of the function, or of its qualifier, lets another account invoke it."""
    qualifier = "" if destination.qualifier == LATEST else destination.qualifier
    stored = function.beside_of(Beside.POLICY, qualifier)
    if stored is None:
        return False
    _revision, document = orjson.loads(stored)
    principal = Principal(account=account, arn=f"arn:aws:iam::{account}:root")
    access = Access("lambda:InvokeFunction", destination.arn, principal)
    return decide([document], access, resource_based=True) is Verdict.ALLOWED


async def invoke_function(
    publisher: EventPublisher, functions: FunctionTable, destination: Destination, parcel: Event, most_bytes: int
) -> None:
    """Returns when the broker has stored the event. most_bytes: of an event.

    Raises NotDelivered, Unavailable, TooManyRequests.
    """
    if len(parcel.payload) > most_bytes:
        raise NotDelivered(f"{len(parcel.payload)} bytes are more than an event may have", final=True)
    account, region, name = place = destination.account, destination.region, destination.resource
    function = await functions.function(*place)
    if function is None:
        raise NotDelivered(f"Function not found: {destination.arn}", final=True)
    if account != parcel.account and not lets_in(function, destination, parcel.account):
        raise NotDelivered(f"{destination.arn} does not let account {parcel.account} invoke it", final=True)
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
