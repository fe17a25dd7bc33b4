"""`elasticmapreduce:…`: clusters and steps of EMR in Step Functions' words, which are not those of EMR's API.

A task names one cluster and one step, EMR takes lists of them and calls clusters job flows. Changing fleets and groups
by their names is not there.
Source: Step Functions Developer Guide, "Create and manage Amazon EMR clusters".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from hearth.aws_clients import AwsClients
from orchestrator.integrations import TaskCall
from orchestrator.integrations.aws_sdk import AwsSdk, exchanged, incomplete, unusable
from orchestrator.integrations.shapes import from_answer


@dataclass(frozen=True, slots=True)
class Form:
    """How one action is asked of EMR.

    one: parameter → its name there, where it is a text; listed: the same where it is a list of one; others are passed
    on. result: of the answer, in Step Functions' spelling.
    """

    operation: str
    one: dict[str, str] = dataclasses.field(default_factory=dict)
    listed: dict[str, str] = dataclasses.field(default_factory=dict)
    result: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer

    def request(self, given: dict[str, Any]) -> dict[str, Any]:
        asked = {self.one.get(name, name): value for name, value in given.items() if name not in self.listed}
        return asked | {there: [given[name]] for name, there in self.listed.items() if name in given}


def _made(answer: dict[str, Any]) -> dict[str, Any]:
    return {"ClusterId" if name == "JobFlowId" else name: value for name, value in answer.items()}


FORMS: dict[str, Form] = {
    "createCluster": Form("runJobFlow", result=_made),
    "terminateCluster": Form("terminateJobFlows", listed={"ClusterId": "JobFlowIds"}),
    "setClusterTerminationProtection": Form("setTerminationProtection", listed={"ClusterId": "JobFlowIds"}),
    "addStep": Form(
        "addJobFlowSteps",
        one={"ClusterId": "JobFlowId"},
        listed={"Step": "Steps"},
        result=lambda answer: {"StepId": next(iter(answer.get("StepIds", [])), None)},
    ),
    "cancelStep": Form(
        "cancelSteps",
        listed={"StepId": "StepIds"},
        result=lambda answer: {"CancelStepsInfo": next(iter(answer.get("CancelStepsInfoList", [])), None)},
    ),
}


class Emr:
    def __init__(self, aws: AwsClients) -> None:
        self._aws = aws

    async def call(self, task: TaskCall) -> str:
        form = FORMS.get(task.action)
        if form is None:
            raise unusable(task, f"elasticmapreduce:{task.action} is not available here")
        if task.action == "createCluster" and "Steps" in task.parameters:  # they are tasks of their own
            raise unusable(task, 'The field "Steps" is not supported by Step Functions')
        asked = dataclasses.replace(task, action=form.operation, parameters=form.request(task.parameters))
        exchange = await exchanged(
            self._aws,
            asked,
            "emr",
            AwsSdk.failed,
            lambda call, service, member: incomplete(service, call.action, member),
        )
        return orjson.dumps(form.result(from_answer(exchange.model, exchange.answer))).decode()
