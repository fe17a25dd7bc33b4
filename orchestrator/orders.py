"""Work that an execution has ordered and that has not ended, as it is stored beside the execution's state.

Whoever takes a shard over carries its orders on, so an order says all that its performing needs.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from hearth.model.workflow_arn import execution_arn, parse_workflow_arn
from orchestrator.core.effects import StartTask

#: names of nested executions that were given none come from their task, so that a second start finds the first
_NAMES = uuid.UUID("6a3c6f0e-5d0b-4f0e-9a52-7a7c3a1d9c11")


#: kinds of orders: those of the definition's resources, and map runs with their ItemReader and ResultWriter
FUNCTION = "lambda-function"
ACTIVITY = "activity"
SERVICE = "service"
AWS_SDK = "aws-sdk"
MAP_RUN = "map-run"


@dataclass(slots=True)
class Order:
    """One piece of work."""

    task_id: int
    kind: str
    state: str = ""
    resource: str = ""
    #: JSON text
    parameters: str = "{}"
    service: str = ""
    action: str = ""
    pattern: str = ""
    token: str = ""
    role_arn: str = ""
    timeout_s: int = 0
    #: of the execution, for names that must be the same at every attempt
    execution: str = ""
    #: a `.sync` or token task whose call has returned
    submitted: bool = False
    #: of a map run: what its children, reader and writer need; of a job: `started`
    more: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, task: StartTask, execution: str) -> Order:
        return cls(
            task_id=task.task_id,
            kind=str(task.kind),
            state=task.state,
            resource=task.resource,
            parameters=task.parameters,
            service=task.service,
            action=task.action,
            pattern=str(task.pattern),
            token=task.token,
            role_arn=task.role_arn or "",
            timeout_s=task.timeout_s or 0,
            execution=execution,
        )

    @property
    def waits(self) -> bool:
        """The end of its call is not its end."""
        return bool(self.pattern)

    @property
    def here(self) -> bool:
        """There is something to do for it in the orchestrator; else its end comes from outside."""
        if self.kind == MAP_RUN:
            return self.more["reader"] is not None or self.more["writer"] is not None
        return self.kind != ACTIVITY and (not self.submitted or self.is_job)

    @property
    def is_job(self) -> bool:
        """A `.sync` task of another service, whose end has to be looked for. `more` keeps what starting it answered."""
        return self.kind == SERVICE and self.pattern == "sync" and self.service != "states"

    @property
    def child_name(self) -> str:
        """Of the execution that a `states:startExecution` starts."""
        name = orjson.loads(self.parameters).get("Name")
        return str(name) if name else str(uuid.uuid5(_NAMES, f"{self.execution}#{self.task_id}"))

    @property
    def child(self) -> str:
        """ARN of the execution that a `.sync` task waits for; empty if it is none."""
        if self.kind != SERVICE or self.service != "states" or not self.pattern.startswith("sync"):
            return ""
        machine = parse_workflow_arn(str(orjson.loads(self.parameters).get("StateMachineArn", "")))
        if machine is None:
            return ""
        return execution_arn(machine.region, machine.account, machine.name, self.child_name)


def dump_order(order: Order) -> bytes:
    return orjson.dumps(asdict(order))


def read_order(raw: bytes) -> Order:
    fields: dict[str, Any] = orjson.loads(raw)
    return Order(**{name: fields[name] for name in Order.__slots__ if name in fields})
