"""Event source mappings: which source's records go to which function, and how. Pure.

A mapping's work is done in **units**: a shard of a stream, or the whole of a queue. Units run while its state is
ENABLED; every write of the record raises `generation`, and what runs by an older one is stopped.
Source: Lambda API reference, CreateEventSourceMapping; defaults and states as recorded from AWS.
"""

from __future__ import annotations

import enum
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson

from hearth.arn import function_arn, mapping_arn


class SourceKind(enum.StrEnum):
    KINESIS = "kinesis"
    #: a registered consumer of a stream (enhanced fan-out)
    KINESIS_CONSUMER = "kinesis-consumer"
    DYNAMODB = "dynamodb"
    SQS = "sqs"
    #: a queue of an Amazon MQ broker for RabbitMQ
    RABBITMQ = "rabbitmq"

    @property
    def is_stream(self) -> bool:
        """Ordered shards that keep their records; read from a position, retried until they expire."""
        return self in STREAMS


STREAMS = frozenset({SourceKind.KINESIS, SourceKind.KINESIS_CONSUMER, SourceKind.DYNAMODB})

#: the first that fits
_SOURCES: tuple[tuple[SourceKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"arn:aws[a-zA-Z0-9-]*:{service}:[a-z0-9-]+:\d{{12}}:{resource}"))
    for kind, service, resource in (
        (SourceKind.KINESIS, "kinesis", r"stream/[a-zA-Z0-9_.-]+"),
        (SourceKind.KINESIS_CONSUMER, "kinesis", r"stream/[a-zA-Z0-9_.-]+/consumer/[a-zA-Z0-9_.-]+:\d+"),
        (SourceKind.DYNAMODB, "dynamodb", r"table/[a-zA-Z0-9_.-]+/stream/[^|]+"),
        (SourceKind.SQS, "sqs", r"[a-zA-Z0-9_-]+(\.fifo)?"),
        (SourceKind.RABBITMQ, "mq", r"broker:[^:]+:[^:]+"),
    )
)


def source_kind(arn: str) -> SourceKind | None:
    """None: nothing that records are read from here."""
    return next((kind for kind, pattern in _SOURCES if pattern.fullmatch(arn)), None)


class MappingState(enum.StrEnum):
    """As the API shows it. Only while ENABLED its units run."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    UPDATING = "Updating"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    DELETING = "Deleting"


#: left by themselves, once a poller has done what they need
PASSING = frozenset(MappingState) - {MappingState.ENABLED, MappingState.DISABLED}

NO_RECORDS = "No records processed"
OK = "OK"
FUNCTION_FAILED = "PROBLEM: Function call failed"
NO_FUNCTION = "PROBLEM: No Lambda function found"

#: until the record expires (MaximumRetryAttempts, MaximumRecordAgeInSeconds)
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Rewind:
    """Records are to be delivered again. A unit does it once for each `id`: it remembers the last one it has done.

    Either `at_ms` (arrival, epoch ms): every shard from the first record on that arrived then or later; or
    `sequence_number`: the shard `shard_id` alone, from that record on.
    """

    id: str
    at_ms: int = 0
    sequence_number: str = ""
    shard_id: str = ""


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """Units are in the names; -1 of max_retries and max_age_s: unlimited. What a kind lacks is at its default."""

    uuid: str
    account: str
    region: str
    kind: SourceKind
    source_arn: str
    #: of the function; version, alias or "" as it was given
    function: str
    qualifier: str
    created_at_ms: int
    modified_at_ms: int
    state: MappingState = MappingState.CREATING
    #: what it is on its way to: Enabled or Disabled
    enabled: bool = True
    #: of the stored record; grows with every write. 0 before it is stored
    generation: int = 0

    batch_size: int = 100
    batch_window_s: float = 0
    #: patterns (JSON texts); a record passes that matches any of them. Empty: all pass
    filters: tuple[str, ...] = ()
    #: ReportBatchItemFailures or nothing
    response_types: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    kms_key_arn: str = ""

    # --- streams ----------------------------------------------------------------------------------------------
    #: TRIM_HORIZON, LATEST or AT_TIMESTAMP; "" for queues
    starting_position: str = ""
    starting_at_ms: int = 0
    parallelization: int = 1
    bisect: bool = False
    max_retries: int = UNLIMITED
    max_age_s: int = UNLIMITED
    tumbling_window_s: int = 0
    #: ARN of the on-failure destination
    on_failure: str = ""
    rewind: Rewind | None = None

    # --- queues -----------------------------------------------------------------------------------------------
    #: SQS: invocations at once; 0: as AWS scales by itself
    max_concurrency: int = 0
    #: SQS: MinimumPollers, MaximumPollers, ... as they were given
    provisioned_pollers: dict[str, Any] = field(default_factory=dict)
    #: RabbitMQ: names; exactly one
    queues: tuple[str, ...] = ()
    #: RabbitMQ: (type, URI): BASIC_AUTH -> ARN of a secret, VIRTUAL_HOST -> name
    access: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        return mapping_arn(self.region, self.account, self.uuid)

    @property
    def function_arn(self) -> str:
        """With the qualifier that it was given."""
        return function_arn(self.region, self.account, self.function, self.qualifier or None)

    @property
    def reports_failures(self) -> bool:
        """The function may answer which records failed."""
        return "ReportBatchItemFailures" in self.response_types

    @property
    def source_region(self) -> str:
        return self.source_arn.split(":")[3]

    @property
    def source_account(self) -> str:
        return self.source_arn.split(":")[4]

    @property
    def source_name(self) -> str:
        """Of the stream, table, queue or broker."""
        resource = self.source_arn.split(":", 5)[5]
        if self.kind is SourceKind.SQS:
            return resource
        return resource.split(":")[1] if self.kind is SourceKind.RABBITMQ else resource.split("/")[1]

    @property
    def virtual_host(self) -> str:
        return next((uri for kind, uri in self.access if kind == "VIRTUAL_HOST"), "/")

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, generation: int) -> Self:
        """generation: as it is stored beside the record."""
        raw: dict[str, Any] = orjson.loads(data)
        known = {name: raw[name] for name in cls.__slots__ if name in raw}
        for name in ("filters", "response_types", "metrics", "queues"):
            known[name] = tuple(known.get(name, ()))
        known["access"] = tuple((kind, uri) for kind, uri in known.get("access", ()))
        known["kind"], known["state"] = SourceKind(known["kind"]), MappingState(known["state"])
        if known.get("rewind") is not None:
            known["rewind"] = Rewind(**known["rewind"])
        return cls(**{**known, "generation": generation})


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a mapping's work that one poller does at a time. name: a shard's id, or QUEUE."""

    mapping: EventSourceMapping
    name: str


#: name of a queue's only unit
QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a unit is, for people."""

    #: of the last record done
    position: str = ""
    #: arrival of the oldest record that is not done, epoch ms; 0: there is none
    oldest_at_ms: int = 0
    #: records not done; None: unknown
    waiting: int | None = None
    #: why the last batch failed; "" if it did not
    error: str = ""
    at_ms: int = 0

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**orjson.loads(data))
