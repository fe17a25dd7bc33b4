"""The orchestrator process: holds its share of the execution shards by lease, and runs Express executions.

Once a second it renews its leases, sees who lives, gives up what is another's share now and takes what is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import uuid
from dataclasses import dataclass

from hearth import service
from hearth.aws_clients import AwsClients
from hearth.blobs import BlobStore
from hearth.broker.connection import Broker
from hearth.broker.event_messages import EventPublisher
from hearth.broker.invoker import BrokerInvoker
from hearth.broker.workflows import WorkflowServer
from hearth.credentials import platform_secret
from hearth.errors import HearthError, Unavailable
from hearth.log import configure
from hearth.platform_clock import PlatformClock
from hearth.settings import Settings
from hearth.store import Stores, keys, leases
from hearth.store.claims import Claimant
from hearth.store.events import raise_partitions
from hearth.store.executions import ExecutionTable
from hearth.store.functions import FunctionTable
from hearth.store.histories import Histories
from hearth.store.machines import MachineTable
from hearth.store.pipeline import Pipeline
from hearth.store.workflow_shards import ShardStore
from orchestrator.claims import Claims
from orchestrator.definitions import Definitions
from orchestrator.express import Express
from orchestrator.integrations import Integration, optimised
from orchestrator.integrations.aws_sdk import AwsSdk
from orchestrator.integrations.emr import Emr
from orchestrator.integrations.functions import Functions
from orchestrator.integrations.http import Http
from orchestrator.integrations.jobs import Jobs
from orchestrator.integrations.states import States
from orchestrator.logs import ExecutionLogs
from orchestrator.map_io import MapFiles
from orchestrator.orders import AWS_SDK
from orchestrator.perform import Performer
from orchestrator.retention import Retention
from orchestrator.shard import Shard, Tools

log = logging.getLogger(__name__)

_CLOSE_S = 5.0
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Backends:
    """What the process holds open."""

    settings: Settings
    secret: bytes
    stores: Stores
    broker: Broker
    aws: AwsClients


class Orchestrator:
    """`run(stopping)` is its life."""

    def __init__(self, backends: Backends) -> None:
        self.id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._backends = backends
        self._settings = backends.settings
        self._stores = backends.stores
        self._held: dict[int, Shard] = {}
        self._ended: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._logs = ExecutionLogs(backends.settings)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`, then finish what is short. Raises Unavailable if a server is away at the start."""
        state = self._stores.state
        table = ExecutionTable(state)
        shards = await table.shards()
        clock = PlatformClock(self._settings.time_scale)
        await clock.read(state)
        pipeline = Pipeline(state)
        claimant = Claimant(pipeline, self.id)
        async with asyncio.TaskGroup() as tasks:
            keepers = [
                tasks.create_task(pipeline.run(), name="pipeline"),
                tasks.create_task(claimant.run(), name="claims"),
                tasks.create_task(clock.keep_read(state), name="clock"),
            ]
            store = ShardStore(state, pipeline)
            tools, express = await self._tools(table, clock, store, claimant, shards)
            clock.on_jump.append(self._look_at_timers)
            server = WorkflowServer(self._backends.broker, tasks, express.answer, express.run)
            await server.start()
            reading = tasks.create_task(self._read(store), name="inboxes")
            histories = Histories(state, BlobStore(self._settings.blobs_dir))
            retention = Retention(table, histories, clock, self._settings)
            keepers.append(tasks.create_task(retention.run(), name="retention"))
            log.info("orchestrator ready", extra={"action": "orchestrator_ready", "orchestrator": self.id})
            while not stopping.is_set():
                try:
                    await self._rebalance(tasks, tools, shards)
                    retention.ours = 0 in self._held
                except HearthError as exc:
                    log.warning("leases not renewed", extra={"action": "leases_not_renewed", "error": str(exc)})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), leases.RENEW_S)
            with contextlib.suppress(HearthError):  # it expires by itself
                await leases.leave(self._stores.coordination, self.id, keys.ORCHESTRATORS)
            reading.cancel()
            await asyncio.gather(*(self._release(number) for number in list(self._held)))
            await server.stop()
            for keeper in keepers:
                keeper.cancel()
        await self._logs.close()

    async def _tools(
        self, table: ExecutionTable, clock: PlatformClock, store: ShardStore, claimant: Claimant, shards: int
    ) -> tuple[Tools, Express]:
        settings, broker, state = self._settings, self._backends.broker, self._stores.state
        invoker = BrokerInvoker(broker)
        await invoker.start()
        partitions = await raise_partitions(state, settings.event_partitions)
        events = EventPublisher(broker, partitions=partitions, max_bytes=settings.event_queue_bytes)
        await events.start()
        functions, claims = FunctionTable(state), Claims(state)
        integrations: dict[str, Integration] = {
            "states": States(MachineTable(state), table, clock),
            AWS_SDK: AwsSdk(self._backends.aws),
            "http": Http(self._backends.aws),
            "elasticmapreduce": Emr(self._backends.aws),
            **optimised.integrations(self._backends.aws),
        }
        definitions = Definitions(table)
        jobs = Jobs(self._backends.aws)
        durable = Functions(settings, functions, invoker, events, claims)
        once = Functions(settings, functions, invoker, events, None)
        tools = Tools(
            settings=settings,
            clock=clock,
            store=store,
            definitions=definitions,
            performer=Performer(durable, integrations, claims, claimant, MapFiles(self._backends.aws, table), jobs),
            executions=table,
            logs=self._logs,
            shards=shards,
        )
        express = Express(settings, clock, definitions, Performer(once, integrations, None, None), self._logs)
        return tools, express

    def _look_at_timers(self) -> None:
        for shard in self._held.values():
            shard.timers.look()

    async def _read(self, store: ShardStore) -> None:
        """Hand on what comes in, as long as the process runs."""
        while True:
            reading = {number: shard for number, shard in self._held.items() if not shard.ending}
            if not reading:
                await self._changed.wait()
                self._changed.clear()
                continue
            try:
                after = {number: shard.read_to for number, shard in reading.items()}
                for number, message in await store.read_inboxes(after):
                    shard = reading[number]
                    # one that was lost and taken again meanwhile reads its inbox from the start, and must not skip any
                    if self._held.get(number) is shard and not shard.ending:
                        shard.deliver(message)
            except Unavailable as exc:
                log.warning("inboxes not read", extra={"action": "inboxes_not_read", "error": str(exc)})
                await asyncio.sleep(_RETRY_S)

    async def _rebalance(self, tasks: asyncio.TaskGroup, tools: Tools, shards: int) -> None:
        """Raises Unavailable when a store does not answer; what is held stays held."""
        coordination = self._stores.coordination
        living = await leases.heartbeat(coordination, self.id, keys.ORCHESTRATORS)
        wanted = leases.share_of(self.id, living, shards)
        await asyncio.gather(*(self._release(number) for number in sorted(set(self._held) - wanted)))
        numbers = sorted(wanted)
        taken = await leases.take(coordination, self.id, [keys.workflow_lease(number) for number in numbers])
        for number, ours in zip(numbers, taken, strict=True):
            shard = self._held.get(number)
            if shard is not None and (not ours or shard.ending):
                await self._release(number)
            elif ours and shard is None:
                await self._hold(tasks, tools, number)

    async def _hold(self, tasks: asyncio.TaskGroup, tools: Tools, number: int) -> None:
        token = await leases.next_token(self._stores.state, keys.workflow_fence(number))
        shard = self._held[number] = Shard(number, token, tools)
        self._ended[number] = tasks.create_task(shard.run(), name=f"shard-{number}")
        self._changed.set()
        log.info("shard held", extra={"action": "shard_held", "shard": number, "lease_token": token})

    async def _release(self, number: int) -> None:
        """The next holder may begin as soon as nothing more is committed here."""
        shard = self._held.pop(number)
        shard.stop()
        await asyncio.wait({self._ended.pop(number)}, timeout=_CLOSE_S)
        with contextlib.suppress(HearthError):  # it expires by itself
            await leases.release(self._stores.coordination, self.id, keys.workflow_lease(number))
        log.info("shard released", extra={"action": "shard_released", "shard": number})


async def orchestrate(settings: Settings, stopping: asyncio.Event) -> None:
    """Connect, serve until `stopping`, drain for drain_seconds, close."""
    stores = Stores.connect(settings)
    assert settings.broker_url is not None, "resolved by hearth.cli"
    broker = await Broker.connect_patiently(settings.broker_url, "orchestrator", stopping)
    if broker is None:
        return
    try:
        secret = await platform_secret(settings, stores)
        aws = AwsClients(settings, secret)
        life = Orchestrator(Backends(settings, secret, stores, broker, aws)).run(stopping)
        drain_s = settings.drain_seconds
        await service.until_drained(life, stopping, drain_s=drain_s, left="others carry on what runs")
        aws.close()
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await broker.close()
                await stores.close()


def main(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    configure(settings)
    service.run(lambda stopping: orchestrate(settings, stopping))
