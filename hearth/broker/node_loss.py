"""Word that a broker node has died, for a cluster: who had to reconnect, or found a queue without its node, tells all.

A request that was on its way through that node may be gone without anybody having been told: between two processes
of the broker, or in a socket. So workers then write down what they hold, and callers ask again for what they wait for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pika.exceptions import AMQPError

from hearth.broker import topology
from hearth.broker.connection import Broker, Channel


class NodeLoss:
    """`on_loss` is called for every such word, our own included. Does nothing with a broker of one node."""

    def __init__(self, broker: Broker, on_loss: Callable[[], None]) -> None:
        self._broker = broker
        self._on_loss = on_loss
        self._channel: Channel | None = None

    async def start(self) -> None:
        if self._broker.replicated:
            await self._broker.when_up(self._open)

    def announce(self) -> None:
        """Tell everybody. While there is no connection it is told when there is one."""
        if self._channel is not None and self._channel.is_open:
            with contextlib.suppress(AMQPError):  # then the connection is being lost
                self._channel.raw.basic_publish(topology.NODE_LOSS, "", b"")

    async def _open(self) -> Channel:
        channel = await self._broker.channel()
        queue = await topology.declare_node_loss(channel)
        await channel.consume(queue, lambda *_: self._on_loss(), no_ack=True, exclusive=True)
        reconnected = self._channel is not None
        self._channel = channel
        if reconnected:
            self.announce()
        return channel
