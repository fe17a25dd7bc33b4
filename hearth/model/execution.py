"""Executions of state machines as they are stored, and the messages that reach them."""

from __future__ import annotations

import enum
import hashlib
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from hearth.model.state_machine import MachineVersion, StateMachine

#: quota of Step Functions: input, output, result of a state, a task, an execution (UTF-8)
MAX_DATA_BYTES = 262_144


class Status(enum.StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"
    PENDING_REDRIVE = "PENDING_REDRIVE"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What of a machine its executions keep, whatever becomes of it. Stored once per content."""

    machine_arn: str
    name: str
    type: str
    definition: str
    role_arn: str
    logging: dict[str, Any]
    tracing: bool
    encryption: dict[str, Any]
    updated_at_ms: int
    revision_id: str = ""

    @classmethod
    def of(cls, machine: StateMachine | MachineVersion, owner: StateMachine) -> Snapshot:
        """machine: the machine itself, or the version of it (`owner`) that is executed."""
        return cls(
            machine_arn=owner.arn,
            name=owner.name,
            type=owner.type,
            definition=machine.definition,
            role_arn=machine.role_arn,
            logging=machine.logging,
            tracing=machine.tracing,
            encryption=machine.encryption,
            updated_at_ms=machine.updated_at_ms if isinstance(machine, StateMachine) else machine.created_at_ms,
            revision_id=machine.revision_id,
        )

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Snapshot:
        raw: dict[str, Any] = orjson.loads(data)
        return cls(**{name: raw[name] for name in cls.__slots__ if name in raw})

    def key(self) -> str:
        """Its name in the store: a digest of its content."""
        return self.key_of(self.to_json())

    @staticmethod
    def key_of(content: bytes) -> str:
        """content: the snapshot's JSON."""
        return hashlib.sha256(content).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Execution:
    """How an execution was started; never changes."""

    arn: str
    #: the unqualified machine's; of a Distributed Map's child NAME/LABEL
    machine_arn: str
    name: str
    #: as the client sent it
    input: str
    started_at_ms: int
    #: key of the Snapshot it runs by
    snapshot: str
    version_arn: str = ""
    alias_arn: str = ""
    trace_header: str = ""
    #: a Distributed Map's run that it is a child of
    map_run_arn: str = ""
    #: {"execution": ARN, "task": id}: who waits for its end
    parent: dict[str, str] = field(default_factory=dict)
    item_count: int = 0

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> Execution:
        raw: dict[str, Any] = orjson.loads(data)
        return cls(**{name: raw[name] for name in cls.__slots__ if name in raw})

    @property
    def lists(self) -> list[str]:
        """ARNs under which ListExecutions finds it."""
        return [arn for arn in (self.machine_arn, self.version_arn, self.alias_arn, self.map_run_arn) if arn]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution stands. Absent texts are None."""

    status: Status
    stopped_at_ms: int = 0
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0
    redriven_at_ms: int = 0


def shard_of(execution_arn: str, shards: int) -> int:
    """Which shard an execution belongs to, for its whole life."""
    return zlib.crc32(execution_arn.encode()) % shards
