"""How many asynchronous invocations wait, and where: for `/metrics` and `hearth events`, asked only when they are.

What a poller has taken and not settled yet is not counted: it runs, or is on its way.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.broker import events as queues
from hearth.broker.connection import Broker
from hearth.store import Store, events


@dataclass(frozen=True, slots=True)
class EventBacklog:
    """Messages ready in the queues."""

    #: partition -> accepted, not yet begun with
    queued: dict[int, int]
    #: delay in seconds -> waiting for their next attempt
    delayed: dict[str, int]
    #: function's ARN -> beyond its share
    aside: dict[str, int]


async def event_backlog(broker: Broker, state: Store) -> EventBacklog:
    """Raises Unavailable when a server does not answer."""
    numbers = range(await events.partitions(state))
    common = {number: queues.partition_queue(number) for number in numbers}
    delays = [
        (delay_s, queues.delay_queue(number, delay_s))
        for number in numbers
        for delay_s in await events.delays(state, number)
    ]
    aside = {arn: queues.aside_queue(number, arn) for number in numbers for arn in await events.asides(state, number)}
    length = await queues.depths(broker, [*common.values(), *(queue for _, queue in delays), *aside.values()])
    delayed: dict[str, int] = {}
    for delay_s, queue in delays:
        delayed[f"{delay_s:g}"] = delayed.get(f"{delay_s:g}", 0) + length.get(queue, 0)
    return EventBacklog(
        queued={number: length.get(queue, 0) for number, queue in common.items()},
        delayed=delayed,
        aside={arn: length.get(queue, 0) for arn, queue in aside.items()},
    )
