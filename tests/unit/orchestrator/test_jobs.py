"""What is known of other services' jobs, against those services' own models."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from hearth.asl.definition import Pattern
from hearth.asl.integrations import OPTIMISED
from orchestrator.integrations.aws_sdk import botocore_name
from orchestrator.integrations.emr import FORMS
from orchestrator.integrations.jobs import JOBS
from orchestrator.integrations.shapes import missing_member, result_name, to_parameters


class Whole(dict[str, Any]):
    """A request or an answer in which every member is."""

    def __missing__(self, name: str) -> Any:
        return {"Build": {"Id": "b"}, "Tasks": [{"ClusterArn": "c", "TaskArn": "t"}]}.get(name, "x")

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


def model(service: str, operation: str) -> Any:
    name = botocore_name(service)
    return ServiceModel(Loader().load_service_model(name, "service-2"), name).operation_model(operation)


@pytest.mark.parametrize(("service", "action"), JOBS, ids=":".join)
def test_job_is_looked_at_and_stopped_as_its_services_model_has_it(service: str, action: str) -> None:
    assert Pattern.SYNC in OPTIMISED[service][action]
    job = JOBS[service, action]
    look = model(service, job.look)
    assert missing_member(look, to_parameters(look, job.asking(Whole(), Whole()))) == ""
    if job.stop:
        stop = model(service, job.stop)
        assert missing_member(stop, to_parameters(stop, job.stopping(Whole(), Whole()))) == ""

    shape = look.output_shape
    for step in (*job.found, *job.status):
        if isinstance(step, int):
            shape = shape.member
        else:
            shape = next(of for name, of in shape.members.items() if result_name(name) == step)
    assert shape.type_name == "string"
    assert job.succeeded or job.gone
    if known := set(getattr(shape, "enum", ())):
        assert job.succeeded | job.failed <= known
        assert not job.succeeded & job.failed


@pytest.mark.parametrize("action", FORMS)
def test_emr_is_asked_for_one_cluster_and_one_step_in_its_own_words(action: str) -> None:
    form = FORMS[action]
    asked = model("elasticmapreduce", form.operation[0].upper() + form.operation[1:])
    given = {name: "x" for name in (*form.one, *form.listed)}
    members = asked.input_shape.members
    assert {name: members[name].type_name for name in form.request(given)} == {
        **{there: "string" for there in form.one.values()},
        **{there: "list" for there in form.listed.values()},
    }
