"""What a gateway process holds open: stores, broker, invoker, the function cache and the secret."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.dynamodb_api.turns import ItemTurns
from gateway.event_gate import EventGate
from gateway.front_doors.cache import DoorCache
from gateway.front_doors.http_api import HttpApi
from gateway.front_doors.loader import ApiLoader
from gateway.front_doors.rest_api import RestApi
from gateway.function_cache import FunctionCache
from gateway.identity_cache import IdentityCache
from gateway.keys import Keys
from gateway.pass_through import PassThrough
from gateway.rate_limits import ApiRates, Buckets, RateLimits
from gateway.settling import Settler
from gateway.shared_rates import SharedRates
from gateway.sigv4 import Verifier
from hearth.aws_clients import AwsClients
from hearth.blobs import BlobStore
from hearth.broker.connection import Broker
from hearth.broker.control import Change, ControlBus
from hearth.broker.event_messages import EventPublisher
from hearth.broker.invoker import BrokerInvoker
from hearth.broker.unplaced import UnplacedAnswers
from hearth.broker.workflows import WorkflowCalls
from hearth.credentials import EnvironmentCipher, platform_secret
from hearth.errors import Unavailable
from hearth.invoker import Invoker
from hearth.limits import Limits
from hearth.logs.reader import LogReader
from hearth.platform_clock import PlatformClock
from hearth.settings import Settings
from hearth.store import Store, Stores, platform, workers
from hearth.store.apis import ApiTable
from hearth.store.changes import ChangeLogs
from hearth.store.code_signing import CodeSigningTable
from hearth.store.concurrency import ConcurrencyTable
from hearth.store.events import raise_partitions
from hearth.store.executions import ExecutionTable
from hearth.store.functions import FunctionTable
from hearth.store.histories import Histories
from hearth.store.identities import IdentityTable
from hearth.store.layers import LayerTable
from hearth.store.machines import MachineTable
from hearth.store.mappings import MappingTable
from hearth.store.shard_rates import Rate, ShardRates
from hearth.store.streams import KnownStreams, StreamTable
from hearth.store.tables import KnownTables, TableStore
from hearth.store.urls import UrlOwner, UrlTable

log = logging.getLogger(__name__)

_CLOSE_S = 5.0
_ASK_S = 2.0


@dataclass(frozen=True, slots=True)
class Backends:
    """Shared by all calls of the process."""

    settings: Settings
    limits: Limits
    secret: bytes
    stores: Stores
    broker: Broker
    invoker: Invoker
    events: EventPublisher
    event_gate: EventGate
    functions: FunctionTable
    layers: LayerTable
    code_signing: CodeSigningTable
    cache: FunctionCache
    settler: Settler
    cipher: EnvironmentCipher
    keys: Keys
    verifier: Verifier
    blobs: BlobStore
    logs: LogReader
    control: ControlBus
    apis: ApiTable
    #: APIs by their ids, as front doors use them
    doors: DoorCache[HttpApi | RestApi]
    urls: UrlTable
    #: whose a function URL is, by its id
    url_owners: DoorCache[UrlOwner]
    concurrency: ConcurrencyTable
    rates: RateLimits
    api_rates: ApiRates
    aws: AwsClients
    pass_through: PassThrough
    identities: IdentityCache
    machines: MachineTable
    executions: ExecutionTable
    histories: Histories
    workflows: WorkflowCalls
    streams: StreamTable
    mappings: MappingTable
    known_streams: KnownStreams
    shard_rates: ShardRates
    tables: TableStore
    known_tables: KnownTables
    changes: ChangeLogs
    item_turns: ItemTurns
    clock: PlatformClock


@contextlib.asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    """Connect everything; on leaving, close it in the opposite order. Raises Unavailable if a server is away."""
    if not settings.broker_url:
        raise Unavailable("HEARTH_BROKER_URL is not set: start with `hearth up`")
    async with contextlib.AsyncExitStack() as stack:
        stores = Stores.connect(settings)
        stack.push_async_callback(_bounded, stores.close)
        secret = await platform_secret(settings, stores)
        await platform.announce(stores.state, settings)
        broker = await Broker.connect(settings.broker_url, name="gateway")
        stack.push_async_callback(_bounded, broker.close)
        invoker, control = BrokerInvoker(broker), ControlBus(broker)
        await invoker.start()
        partitions = await raise_partitions(stores.state, settings.event_partitions)
        events = EventPublisher(broker, partitions=partitions, max_bytes=settings.event_queue_bytes)
        await events.start()
        unplaced = UnplacedAnswers(broker, functools.partial(living_workers, stores.coordination))
        stack.push_async_callback(unplaced.close)
        await unplaced.start()
        identities = IdentityCache(IdentityTable(stores.state))
        access = Keys(settings, secret, identities)
        verifier = Verifier(access)
        pass_through = PassThrough(settings, verifier)
        stack.push_async_callback(_bounded, pass_through.close)
        aws = AwsClients(settings, secret)
        stack.callback(aws.close)
        workflows, clock = WorkflowCalls(broker), PlatformClock(settings.time_scale)
        await workflows.start()
        await clock.read(stores.state)
        functions = FunctionTable(stores.state)
        streams, tables = StreamTable(stores.state), TableStore(stores.state)
        cache = FunctionCache(functions)
        settler = Settler(functions, cache, stores.coordination, control)
        buckets = Buckets()
        apis = ApiTable(stores.state)
        doors: DoorCache[HttpApi | RestApi] = DoorCache("front doors", ApiLoader(apis, settings), apis.epoch)
        urls = UrlTable(stores.state)
        url_owners: DoorCache[UrlOwner] = DoorCache("URLs", lambda id_, _: urls.owner(id_), apis.epoch)

        def on_change(change: Change) -> None:
            settler.on_change(change)
            if change.kind == "door":
                doors.changed()

        await control.start(on_change)
        await cache.lease.renew()
        await identities.lease.renew()
        for name, work in (
            ("function-cache", cache.lease.keep_renewed()),
            ("front-doors", doors.lease.keep_renewed()),
            ("identities", identities.lease.keep_renewed()),
            ("url-owners", url_owners.lease.keep_renewed()),
            ("settler", settler.run()),
            ("rates", SharedRates(buckets, stores.coordination).run()),
            ("clock", clock.keep_read(stores.state)),
        ):
            stack.push_async_callback(_stop, _owned(name, work))
        yield Backends(
            settings=settings,
            limits=Limits.of(settings),
            secret=secret,
            stores=stores,
            broker=broker,
            invoker=invoker,
            events=events,
            event_gate=EventGate(lambda: invoker.busy, settings.event_pace),
            functions=functions,
            layers=LayerTable(stores.state),
            code_signing=CodeSigningTable(stores.state),
            cache=cache,
            settler=settler,
            cipher=EnvironmentCipher(secret),
            keys=access,
            verifier=verifier,
            pass_through=pass_through,
            machines=MachineTable(stores.state),
            executions=ExecutionTable(stores.state),
            histories=Histories(stores.state, BlobStore(settings.blobs_dir)),
            workflows=workflows,
            streams=streams,
            mappings=MappingTable(stores.state, stores.coordination),
            known_streams=KnownStreams(streams),
            shard_rates=ShardRates(
                stores.coordination,
                Rate(settings.shard_records_in_per_second, settings.shard_bytes_in_per_second),
                Rate(settings.shard_reads_per_second, settings.shard_bytes_out_per_second),
            ),
            tables=tables,
            known_tables=KnownTables(tables),
            changes=ChangeLogs(stores.state),
            item_turns=ItemTurns(),
            clock=clock,
            blobs=BlobStore(settings.blobs_dir),
            logs=LogReader(settings.blobs_dir),
            control=control,
            apis=apis,
            doors=doors,
            concurrency=ConcurrencyTable(stores.state, settings.account_concurrency),
            rates=RateLimits(buckets, settings.requests_per_sandbox, settings.account_concurrency),
            api_rates=ApiRates(
                buckets, settings.api_get_function_rate, settings.api_get_policy_rate, settings.api_control_rate
            ),
            identities=identities,
            urls=urls,
            url_owners=url_owners,
            aws=aws,
        )


async def living_workers(coordination: Store) -> dict[str, dict[str, str]]:
    """Worker id -> its figures, of those whose heartbeat is current; empty if `coordination` doesn't answer."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await workers.living(coordination)
    except (Unavailable, TimeoutError):
        return {}


def _owned(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task for the life of the process; its owner is the exit stack of `open_backends`."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a background task died", extra={"action": "task_died", "task": task.get_name()}, exc_info=error)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _bounded(close: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await close()
