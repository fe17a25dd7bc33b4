"""State machines, their versions and aliases, and activities, as they are stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import orjson

from hearth.model.workflow_arn import activity_arn, machine_arn


class _Stored:
    """JSON by field names; fields that a later release dropped are ignored."""

    __slots__ = ()

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        raw: dict[str, Any] = orjson.loads(data)
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in raw.items() if name in known})


@dataclass(frozen=True, slots=True)
class StateMachine(_Stored):
    """The machine as CreateStateMachine and UpdateStateMachine left it."""

    account: str
    region: str
    name: str
    #: STANDARD or EXPRESS; never changes
    type: str
    definition: str
    role_arn: str
    created_at_ms: int
    updated_at_ms: int
    #: LoggingConfiguration as it is answered
    logging: dict[str, Any]
    tracing: bool
    #: EncryptionConfiguration as it is answered
    encryption: dict[str, Any]
    #: empty until the first update that changed something
    revision_id: str = ""
    #: ACTIVE, or DELETING while executions still run
    status: str = "ACTIVE"
    tags: dict[str, str] = field(default_factory=dict)
    #: the highest version ever published; numbers are never used twice
    last_version: int = 0
    #: what CreateStateMachine was called with besides, for its idempotency: publish, versionDescription
    created_with: dict[str, Any] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return machine_arn(self.region, self.account, self.name)


@dataclass(frozen=True, slots=True)
class MachineVersion(_Stored):
    """An immutable snapshot of a machine."""

    number: int
    #: of the machine when it was published; empty: it had not been updated yet
    revision_id: str
    definition: str
    role_arn: str
    logging: dict[str, Any]
    tracing: bool
    encryption: dict[str, Any]
    created_at_ms: int
    #: None: none was given
    description: str | None = None


@dataclass(frozen=True, slots=True)
class MachineAlias(_Stored):
    """A name for one or two versions. routing: [{stateMachineVersionArn, weight}]; the weights make 100."""

    name: str
    routing: list[dict[str, Any]]
    created_at_ms: int
    updated_at_ms: int
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Activity(_Stored):
    """Tasks that workers of the user's own ask for."""

    account: str
    region: str
    name: str
    created_at_ms: int
    encryption: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return activity_arn(self.region, self.account, self.name)
