"""Streams as sources of mappings (`pollers.runners.Runner`): which shards to read, and the reading of one."""

from __future__ import annotations

from hearth.aws_clients import AwsClients
from hearth.broker.event_messages import EventPublisher
from hearth.invoker import Invoker
from hearth.model.filter_patterns import compile_filters
from hearth.model.mapping import STREAMS, UNLIMITED, EventSourceMapping, SourceKind, Unit
from hearth.settings import Settings
from hearth.store import Stores
from hearth.store.changes import ChangeLogs
from hearth.store.checkpoints import CheckpointTable
from hearth.store.functions import FunctionTable
from hearth.store.mappings import MappingTable
from hearth.store.streams import StreamTable
from pollers.mapping_target import MappingTarget
from pollers.runners import Lease
from pollers.streams.batching import BatchLimits
from pollers.streams.event import FRAME_BYTES
from pollers.streams.kinesis_source import KinesisSource
from pollers.streams.lane import LaneOptions
from pollers.streams.outcome import WITHOUT_END, FailurePolicy
from pollers.streams.remote_source import RemoteKinesis, RemoteTable
from pollers.streams.reports import Reports
from pollers.streams.shard_runner import ShardOptions, ShardParts, ShardRun
from pollers.streams.source import StreamSource
from pollers.streams.table_source import TableSource
from pollers.streams.telling import Telling
from pollers.streams.units import units_of
from pollers.streams.windows import MAX_STATE_BYTES


class StreamRunner:
    """One per poller. New shards come only when their parents end, which is seen at once."""

    kinds = STREAMS
    look_again_s = 10.0

    def __init__(
        self, settings: Settings, stores: Stores, aws: AwsClients, invoker: Invoker, publisher: EventPublisher
    ) -> None:
        self._settings = settings
        self._aws = aws
        self._invoker = invoker
        self._publisher = publisher
        self._functions = FunctionTable(stores.state)
        self._mappings = MappingTable(stores.state, stores.coordination)
        self._checkpoints = CheckpointTable(stores.state)
        self._streams = StreamTable(stores.state)
        self._changes = ChangeLogs(stores.state)

    async def prepare(self, mapping: EventSourceMapping) -> None:
        await self.units(mapping)

    async def units(self, mapping: EventSourceMapping) -> list[str]:
        return await units_of(mapping, await self.source(mapping), self._checkpoints)

    async def run(self, unit: Unit, lease: Lease) -> None:
        mapping = unit.mapping
        place = mapping.account, mapping.region, mapping.function
        target = MappingTarget(self._settings, self._functions, self._invoker, place, mapping.qualifier)
        source = await self.source(mapping, target.key)
        parts = ShardParts(
            source=source,
            checkpoints=self._checkpoints,
            target=target,
            reports=Reports(self._publisher, mapping),
            telling=Telling(self._mappings, mapping, unit.name),
        )
        options = options_of(mapping, self._settings, await source.retention_ms(), len(source.tail("")))
        await ShardRun(mapping, unit.name, lease.token, lease.stopping, options, parts).run()

    async def source(self, mapping: EventSourceMapping, beside: str = "") -> StreamSource:
        """This platform's stream; another server's if the settings name one and there is none here. beside: key of a
        hash that the former reads with its records.

        Raises Unavailable.
        """
        arn, place = mapping.source_arn, (mapping.source_account, mapping.source_region, mapping.source_name)
        endpoints = self._aws.endpoints
        if mapping.kind is SourceKind.DYNAMODB:
            elsewhere = endpoints.elsewhere("dynamodbstreams", mapping.source_region) is not None
            if elsewhere and await self._changes.stream(arn) is None:
                return RemoteTable(self._aws, arn)
            return TableSource(self._changes, arn, beside)
        elsewhere = endpoints.elsewhere("kinesis", mapping.source_region) is not None
        if elsewhere and await self._streams.get(*place) is None:
            return RemoteKinesis(self._aws, arn)
        return KinesisSource(self._streams, arn, beside)


def options_of(mapping: EventSourceMapping, settings: Settings, retention_ms: int, tail_bytes: int) -> ShardOptions:
    """tail_bytes: of what closes each record, beside a role's ARN."""
    most_bytes = settings.max_payload_bytes
    state_bytes = MAX_STATE_BYTES if mapping.tumbling_window_s else 0
    limits = BatchLimits(
        records=mapping.batch_size,
        window_s=mapping.batch_window_s,
        most_bytes=max(1, most_bytes - FRAME_BYTES - state_bytes),
        each_bytes=tail_bytes + 1 + _ROLE_BYTES,
    )
    age_ms = retention_ms if mapping.max_age_s == UNLIMITED else min(retention_ms, mapping.max_age_s * 1000)
    retries = WITHOUT_END if mapping.max_retries == UNLIMITED else mapping.max_retries
    lane = LaneOptions(
        limits=limits,
        policy=FailurePolicy(retries, age_ms, mapping.bisect),
        tumbling_s=mapping.tumbling_window_s,
        reports=mapping.reports_failures,
        backoff_s=settings.mapping_retry_base_seconds,
    )
    matches = compile_filters(mapping.filters, mapping.kind) if mapping.filters else None
    return ShardOptions(lanes=mapping.parallelization, lane=lane, most_bytes=most_bytes, matches=matches)


#: of a role's ARN, at the most (IAM: 64 of the name, 512 of its path)
_ROLE_BYTES = 640
