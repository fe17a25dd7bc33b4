"""Every exchange, queue and argument, in one place. Declaring is idempotent; arguments must never differ.

    client -> hearth.invoke --(<key>.<epoch>)--> invoke.<key>.<epoch> --(no idle sandbox)--> hearth.placement
                            --(no such queue)--> hearth.placement --(family)--> placement.<family>
    placement.<family>  --(waited too long)--> hearth.expired -> expired        -> gateways answer
    hearth.placement    --(no such family)---> hearth.unplaceable -> unplaceable -> gateways answer

`invoke.*` has a TTL of 0: a message that no idle sandbox takes at once is dead-lettered at once. It is durable and
never auto-delete: deletion does not dead-letter, so it could lose requests; it expires when unused.

With several broker nodes every queue that holds requests is a quorum queue (`durable_arguments`): a majority of nodes
has each message. `invoke.*` holds none and stays classic, on one node: a quorum queue costs the warm path a
round of its members and a disk write per message, for something that must never wait there. When that node dies its
queue can't be declared until it is back (404), so queue and routing key carry an epoch, which the workers raise.
"""

from __future__ import annotations

from typing import Any

from hearth.broker.connection import Channel
from hearth.model.invocation import Invocation, InvocationType

INVOKE = "hearth.invoke"
PLACEMENT = "hearth.placement"
EXPIRED = "hearth.expired"
UNPLACEABLE = "hearth.unplaceable"
CONTROL = "hearth.control"
NODE_LOSS = "hearth.node-loss"

EXPIRED_QUEUE = "expired"
UNPLACEABLE_QUEUE = "unplaceable"

#: an unused version's queue goes away after this
INVOKE_EXPIRES_MS = 600_000
#: a worker's own queue outlives it briefly; what is in it goes back to placement after a second
WORKER_TTL_MS = 1_000
WORKER_EXPIRES_MS = 60_000


def routing_key(version_key: str, epoch: int) -> str:
    return f"{version_key}.{epoch}"


def way_in(invocation: Invocation) -> tuple[str, str]:
    """Exchange and routing key of a request: to an idle sandbox, or to placement at once if it asks for a new one."""
    if invocation.invocation_type is InvocationType.PROVISION:
        return PLACEMENT, ""
    return INVOKE, routing_key(invocation.version_key, invocation.epoch)


def invoke_queue(version_key: str, epoch: int) -> str:
    return f"invoke.{version_key}.{epoch}"


def placement_queue(family: str) -> str:
    return f"placement.{family}"


def worker_queue(worker_id: str) -> str:
    return f"worker.{worker_id}"


def durable_arguments(channel: Channel, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """A durable queue's arguments, so that with several broker nodes it survives the death of one of them.

    What such a queue dead-letters is dead-lettered at least once; only with `reject-publish` does the broker keep
    that promise.
    Source: RabbitMQ, quorum queues (https://www.rabbitmq.com/docs/quorum-queues), dead lettering.
    """
    if not channel.replicated:
        return dict(arguments or {})
    quorum: dict[str, Any] = {"x-queue-type": "quorum", **(arguments or {})}
    if "x-dead-letter-exchange" in quorum:
        quorum |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    return quorum


async def declare_shared(channel: Channel) -> None:
    """What every process relies on."""
    await channel.declare_exchange(UNPLACEABLE, "fanout")
    await channel.declare_exchange(EXPIRED, "fanout")
    await channel.declare_exchange(PLACEMENT, "headers", {"alternate-exchange": UNPLACEABLE})
    await channel.declare_exchange(INVOKE, "direct", {"alternate-exchange": PLACEMENT})
    await channel.declare_exchange(CONTROL, "fanout")
    for queue, exchange in ((EXPIRED_QUEUE, EXPIRED), (UNPLACEABLE_QUEUE, UNPLACEABLE)):
        await channel.declare_queue(queue, durable_arguments(channel, {"x-message-ttl": 60_000}))
        await channel.bind(queue, exchange)


async def declare_placement(channel: Channel, family: str, wait_ms: int) -> str:
    """The queue of requests for which no sandbox is idle. Its TTL is the longest wait for room."""
    queue = placement_queue(family)
    arguments = {"x-message-ttl": wait_ms, "x-dead-letter-exchange": EXPIRED}
    await channel.declare_queue(queue, durable_arguments(channel, arguments))
    await channel.bind(queue, PLACEMENT, arguments={"x-match": "all", "family": family})
    return queue


async def declare_invoke(channel: Channel, version_key: str, epoch: int) -> str:
    """The queue of one version. Raises ChannelClosed(404) when it is homed on a broker node that is down."""
    queue = invoke_queue(version_key, epoch)
    arguments: dict[str, Any] = {
        "x-message-ttl": 0,
        "x-expires": INVOKE_EXPIRES_MS,
        "x-dead-letter-exchange": PLACEMENT,
    }
    await channel.declare_queue(queue, arguments)
    await channel.bind(queue, INVOKE, routing_key(version_key, epoch))
    return queue


async def declare_worker(channel: Channel, worker_id: str) -> str:
    """A worker's own queue: placements that must go to it because one of its idle sandboxes gives way.

    Its name must not change while the worker lives, for others address it; as a classic queue it could not be
    declared again after the death of its node.
    """
    queue = worker_queue(worker_id)
    arguments = {
        "x-message-ttl": WORKER_TTL_MS,
        "x-expires": WORKER_EXPIRES_MS,
        "x-dead-letter-exchange": PLACEMENT,
    }
    await channel.declare_queue(queue, durable_arguments(channel, arguments))
    return queue


async def declare_control(channel: Channel) -> str:
    """A queue of this connection's own on the control fanout."""
    return await _declare_own(channel, CONTROL)


async def declare_node_loss(channel: Channel) -> str:
    """A queue of this connection's own that hears of broker nodes that died."""
    await channel.declare_exchange(NODE_LOSS, "fanout")
    return await _declare_own(channel, NODE_LOSS)


async def _declare_own(channel: Channel, exchange: str) -> str:
    """Exclusive: it lives on the connection's own node and goes with the connection."""
    queue = await channel.declare_queue("", durable=False, exclusive=True)
    await channel.bind(queue, exchange)
    return queue
