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

    #: partition -> accepted or due
    queued: dict[int, int]
    #: delay in seconds, as the queue's name has it -> waiting for their next attempt
    delayed: dict[str, int]
    #: function's ARN -> beyond its share
    aside: dict[str, int]


async def event_backlog(broker: Broker, state: Store, partitions: int) -> EventBacklog:
    """`partitions`: of the settings; more, if events were ever spread over more. Raises Unavailable."""
    numbers = range(await events.raise_partitions(state, partitions))
    delays = await events.delays(state)
    aside = {arn: queues.aside_queue(number, arn) for number in numbers for arn in await events.asides(state, number)}
    common = [queue for number in numbers for queue in (queues.partition_queue(number), queues.due_queue(number))]
    length = await queues.depths(broker, [*common, *delays, *aside.values()])
    return EventBacklog(
        queued={
            number: length.get(queues.partition_queue(number), 0) + length.get(queues.due_queue(number), 0)
            for number in numbers
        },
        delayed={queue.removeprefix(queues.DELAY_PREFIX): length.get(queue, 0) for queue in delays},
        aside={arn: length.get(queue, 0) for arn, queue in aside.items()},
    )
