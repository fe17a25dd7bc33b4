"""The poller process: holds its share of the event partitions by lease and runs one task for each.

Once a second it renews its leases, sees who lives, gives up what is another's share now and takes what is its own.
While `coordination` is away it goes on with what it holds: nobody else can take it then, and two holders at once would
only mean that an event may run twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import uuid

from hearth import service
from hearth.aws_clients import AwsClients
from hearth.broker.connection import Broker
from hearth.broker.control import Change, ControlBus
from hearth.broker.event_messages import EventPublisher
from hearth.broker.invoker import BrokerInvoker
from hearth.credentials import platform_secret
from hearth.errors import HearthError
from hearth.invoker import Invoker
from hearth.log import configure
from hearth.settings import Settings
from hearth.store import Stores, events, keys, leases
from pollers.destinations import Destinations
from pollers.event_dispatcher import EventDispatcher
from pollers.mappings import MappingPoller
from pollers.partition import Partition
from pollers.provisioning import Provisioner
from pollers.queues.rabbitmq_runner import RabbitMQRunner
from pollers.queues.sqs_runner import SqsRunner
from pollers.runners import Runner
from pollers.source_access import SourceAccess
from pollers.streams.runner import StreamRunner
from pollers.trimming import Trimmer

log = logging.getLogger(__name__)

#: a stopping poller's own clean-up
_CLOSE_S = 5.0
_QUIESCE_S = 3.0


class Poller:
    """`run(stopping)` is its life."""

    def __init__(self, settings: Settings, broker: Broker, stores: Stores, aws: AwsClients) -> None:
        self.id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._settings = settings
        self._broker = broker
        self._stores = stores
        self._aws = aws
        self._partitions = settings.event_partitions
        self._held: dict[int, Partition] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping`, then finish what runs. Raises Unavailable if a server is away at the start."""
        self._partitions = await events.raise_partitions(self._stores.state, self._settings.event_partitions)
        invoker = BrokerInvoker(self._broker)
        await invoker.start()
        self._publisher = EventPublisher(
            self._broker, partitions=self._partitions, max_bytes=self._settings.event_queue_bytes
        )
        await self._publisher.start()
        destinations = Destinations(self._settings, self._broker, self._publisher, self._stores.state, self._aws)
        self._dispatcher = EventDispatcher(self._settings, self._stores, invoker, destinations)
        provisioner = Provisioner(self._settings, self._stores, invoker, self.id)
        access = SourceAccess(self._settings, self._stores, self._aws)
        mappings = MappingPoller(self._settings, self._stores, self.id, self._runners(invoker), access)
        await ControlBus(self._broker).start(lambda change: _on_change(change, mappings))
        log.info("poller ready", extra={"action": "poller_ready", "poller": self.id})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(provisioner.run(stopping), name="provisioner")
            tasks.create_task(Trimmer(self._settings, self._stores, self.id).run(stopping), name="trimmer")
            tasks.create_task(mappings.run(stopping), name="mappings")
            while not stopping.is_set():
                try:
                    await self._rebalance(tasks)
                except HearthError as exc:
                    log.warning("leases not renewed", extra={"action": "leases_not_renewed", "error": str(exc)})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), leases.RENEW_S)
            with contextlib.suppress(HearthError):  # it expires by itself
                await leases.leave(self._stores.coordination, self.id)
            for number in list(self._held):
                self._let_go(tasks, number)

    def _runners(self, invoker: Invoker) -> list[Runner]:
        """For every kind of source that mappings may have."""
        settings, stores, aws = self._settings, self._stores, self._aws
        return [
            StreamRunner(settings, stores, aws, invoker, self._publisher),
            SqsRunner(settings, stores, aws, invoker),
            RabbitMQRunner(settings, stores, aws, invoker),
        ]

    async def _rebalance(self, tasks: asyncio.TaskGroup) -> None:
        """Raises Unavailable when a store does not answer; what is held stays held."""
        coordination = self._stores.coordination
        # a gateway may have been started with more
        self._partitions = max(self._partitions, await events.partitions(self._stores.state))
        living = await leases.heartbeat(coordination, self.id)
        wanted = leases.share_of(self.id, living, self._partitions)
        for number in sorted(set(self._held) - wanted):
            self._let_go(tasks, number)
        numbers = sorted(wanted)
        taken = await leases.take(coordination, self.id, [keys.event_lease(number) for number in numbers])
        for number, ours in zip(numbers, taken, strict=True):
            if ours and number not in self._held:
                await self._hold(tasks, number)
            elif not ours and number in self._held:
                log.warning("lease lost", extra={"action": "lease_lost", "partition": number})
                self._let_go(tasks, number)

    async def _hold(self, tasks: asyncio.TaskGroup, number: int) -> None:
        token = await leases.next_token(self._stores.state, keys.event_fence(number))
        partition = self._held[number] = Partition(
            number,
            token,
            settings=self._settings,
            broker=self._broker,
            state=self._stores.state,
            publisher=self._publisher,
            dispatcher=self._dispatcher,
        )
        tasks.create_task(self._keep(partition), name=f"partition-{number}")
        log.info("partition held", extra={"action": "partition_held", "partition": number, "lease_token": token})

    async def _keep(self, partition: Partition) -> None:
        await partition.run()
        if self._held.get(partition.number) is partition:  # it ended by itself: another poller has its lease
            del self._held[partition.number]

    def _let_go(self, tasks: asyncio.TaskGroup, number: int) -> None:
        partition = self._held.pop(number)
        partition.stop()
        tasks.create_task(self._release(partition), name=f"release-{number}")

    async def _release(self, partition: Partition) -> None:
        """The next holder may begin as soon as nothing more is delivered here; what runs is finished here."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_QUIESCE_S):
                await partition.quiesced.wait()
        with contextlib.suppress(HearthError):  # it expires by itself
            await leases.release(self._stores.coordination, self.id, keys.event_lease(partition.number))
        log.info("partition released", extra={"action": "partition_released", "partition": partition.number})


def _on_change(change: Change, mappings: MappingPoller) -> None:
    if change.kind == "mapping":
        mappings.wake()


async def poll(settings: Settings, stopping: asyncio.Event) -> None:
    """Connect, serve until `stopping`, drain for drain_seconds, close."""
    stores = Stores.connect(settings)
    assert settings.broker_url is not None, "resolved by hearth.cli"
    broker = await Broker.connect_patiently(settings.broker_url, "poller", stopping)
    if broker is None:
        return
    closing = contextlib.ExitStack()
    try:
        aws = closing.enter_context(contextlib.closing(AwsClients(settings, await platform_secret(settings, stores))))
        life = Poller(settings, broker, stores, aws).run(stopping)
        drain_s = settings.drain_seconds
        await service.until_drained(life, stopping, drain_s=drain_s, left="what runs is tried again")
    finally:
        with contextlib.suppress(TimeoutError):
            closing.close()
            async with asyncio.timeout(_CLOSE_S):
                await broker.close()
                await stores.close()


def main(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    configure(settings)
    service.run(lambda stopping: poll(settings, stopping))
