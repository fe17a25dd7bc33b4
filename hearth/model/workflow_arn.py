"""ARNs of Step Functions: state machines and their versions and aliases, executions, activities, map runs.

A Distributed Map's runs carry the map's label in the machine's name: NAME/LABEL. Source: Step Functions API reference.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkflowArn:
    """One ARN, taken apart. kind: stateMachine, execution, express, activity or mapRun."""

    region: str
    account: str
    kind: str
    name: str
    #: a machine's version or alias; an execution's name; a map run's id. Empty if absent
    rest: str = ""

    @property
    def machine(self) -> str:
        """The state machine's name without a map's label."""
        return self.name.partition("/")[0]

    @property
    def label(self) -> str:
        """A Distributed Map's label; empty outside of one."""
        return self.name.partition("/")[2]

    def __str__(self) -> str:
        arn = f"arn:aws:states:{self.region}:{self.account}:{self.kind}:{self.name}"
        return f"{arn}:{self.rest}" if self.rest else arn


def parse_workflow_arn(text: str) -> WorkflowArn | None:
    """None: it is no ARN of this service."""
    parts = text.split(":", 7)
    if len(parts) < 7 or parts[0] != "arn" or not parts[1].startswith("aws") or parts[2] != "states":
        return None
    region, account, kind, name = parts[3:7]
    if not region or not account or not kind or not name:
        return None
    return WorkflowArn(region, account, kind, name, parts[7] if len(parts) > 7 else "")


def machine_arn(region: str, account: str, name: str, qualifier: str = "") -> str:
    return str(WorkflowArn(region, account, "stateMachine", name, qualifier))


def execution_arn(region: str, account: str, machine: str, name: str) -> str:
    """Of a Standard execution. machine: NAME or NAME/LABEL."""
    return str(WorkflowArn(region, account, "execution", machine, name))


def express_arn(region: str, account: str, machine: str, name: str, run_id: str) -> str:
    """Of an Express execution: names may repeat, so each has an id of its own."""
    return str(WorkflowArn(region, account, "express", machine, f"{name}:{run_id}"))


def activity_arn(region: str, account: str, name: str) -> str:
    return str(WorkflowArn(region, account, "activity", name))


def map_run_arn(region: str, account: str, machine: str, label: str, run_id: str) -> str:
    return str(WorkflowArn(region, account, "mapRun", f"{machine}/{label}", run_id))
