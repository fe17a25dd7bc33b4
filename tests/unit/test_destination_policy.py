"""Whether records may go where they are to go: the function's role says so, and another account's function."""

from __future__ import annotations

import orjson
import pytest

from hearth.model.destination import parse_destination
from hearth.model.function import FunctionVersion
from hearth.model.identity import allowing
from hearth.store.functions import Beside, Function, FunctionRecord
from pollers.destinations.functions import lets_in
from pollers.destinations.permission import refusal

ARN = "arn:aws:lambda:us-east-1:000000000002:function:f"


def function(**policies: str) -> Function:
    """qualifier -> the principal that it lets in; `own` is the function itself."""
    version = FunctionVersion("key", "000000000002", "us-east-1", "f", "$LATEST", "python3.11", "h", "role", "sha")
    beside = {}
    for name, principal in policies.items():
        qualifier = "" if name == "own" else name
        statement = {
            "Sid": "1",
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": "lambda:InvokeFunction",
            "Resource": f"{ARN}:{qualifier}" if qualifier else ARN,
        }
        document = {"Version": "2012-10-17", "Statement": [statement]}
        beside[f"{Beside.POLICY}:{qualifier}"] = orjson.dumps(["revision", document])
    return Function(FunctionRecord(version, "r", "Active", "Successful", 0, 0, 1), beside=beside)


@pytest.mark.parametrize(
    ("policies", "arn", "allowed"),
    [
        ({}, ARN, False),
        ({"own": "arn:aws:iam::000000000001:root"}, ARN, True),
        ({"own": "000000000001"}, ARN, True),
        ({"own": "arn:aws:iam::000000000003:root"}, ARN, False),
        ({"own": "arn:aws:iam::000000000001:root"}, f"{ARN}:live", False),
        ({"live": "arn:aws:iam::000000000001:root"}, f"{ARN}:live", True),
    ],
)
def test_policy_of_the_qualifier_decides(policies: dict[str, str], arn: str, allowed: bool) -> None:
    destination = parse_destination(arn)
    assert destination is not None
    assert lets_in(function(**policies), destination, "000000000001") is allowed


@pytest.mark.parametrize(
    ("action", "arn", "policy_names"),
    [
        ("lambda:InvokeFunction", ARN, ARN),
        ("sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000001:q", "arn:aws:sqs:*:000000000001:*"),
        ("sns:Publish", "arn:aws:sns:us-east-1:000000000001:t", "*"),
        ("events:PutEvents", "arn:aws:events:us-east-1:000000000001:event-bus/b", "*"),
        ("s3:PutObject", "arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"),
        ("rabbitmq:Publish", "arn:aws:rabbitmq:us-east-1:000000000001:exchange/e", "*"),
    ],
)
def test_role_has_to_allow_the_action_of_the_destinations_kind(action: str, arn: str, policy_names: str) -> None:
    destination = parse_destination(arn)
    assert destination is not None
    session = "arn:aws:sts::000000000001:assumed-role/r/f"
    assert refusal((allowing([action], [policy_names]),), session, destination, "f") == ""
    told = refusal((allowing(["logs:*"], ["*"]),), session, destination, "f")
    assert told.startswith(f"User: {session} is not authorized to perform: {action} on resource: {arn}")
