"""ARNs of Step Functions."""

from __future__ import annotations

import pytest

from hearth.model.execution import shard_of
from hearth.model.workflow_arn import WorkflowArn, execution_arn, express_arn, parse_workflow_arn

BASE = "arn:aws:states:us-east-1:000000000000"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"{BASE}:stateMachine:m", ("stateMachine", "m", "")),
        (f"{BASE}:stateMachine:m:3", ("stateMachine", "m", "3")),
        (f"{BASE}:execution:m/each:e", ("execution", "m/each", "e")),
        (f"{BASE}:express:m:e:id", ("express", "m", "e:id")),
        (f"{BASE}:mapRun:m/each:id", ("mapRun", "m/each", "id")),
        (f"{BASE}:activity:a", ("activity", "a", "")),
    ],
)
def test_arn_is_taken_apart_and_put_together(text: str, parts: tuple[str, str, str]) -> None:
    arn = parse_workflow_arn(text)
    assert arn is not None
    assert (arn.kind, arn.name, arn.rest) == parts
    assert str(arn) == text


@pytest.mark.parametrize(
    "text", ["", "m", "arn:aws:lambda:us-east-1:0:function:f", "arn:aws:states:us-east-1:0:stateMachine"]
)
def test_what_is_no_arn_of_this_service_is_none(text: str) -> None:
    assert parse_workflow_arn(text) is None


def test_a_maps_label_is_told_from_the_machines_name() -> None:
    arn = WorkflowArn("r", "a", "execution", "m/each", "e")
    assert (arn.machine, arn.label) == ("m", "each")


def test_an_execution_has_one_shard() -> None:
    arns = [execution_arn("r", "a", "m", str(n)) for n in range(1000)]
    shards = [shard_of(arn, 16) for arn in arns]
    assert [shard_of(arn, 16) for arn in arns] == shards
    assert set(shards) == set(range(16))
    assert express_arn("r", "a", "m", "e", "id").endswith(":express:m:e:id")
