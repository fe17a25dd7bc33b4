"""Calls that Hearth makes itself: to its own services, to others, to nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import redis

from hearth.aws_clients import AwsCallFailed, AwsClients, AwsUnreachable, ServiceNotServed
from hearth.clock import Deadline
from hearth.embedded.stackfile import free_port
from hearth.settings import Settings
from hearth.store import keys
from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

WHERE = {"account": "000000000000", "region": "us-east-1"}


@pytest.fixture(scope="module")
def clients(stack: PlatformStack) -> Iterator[AwsClients]:
    with redis.Redis.from_url(stack.servers.state_url) as state:
        secret = state.get(keys.SECRET)
    assert isinstance(secret, bytes)
    nobody = f"http://127.0.0.1:{free_port()}"
    made = AwsClients(Settings.load(port=stack.port, aws_endpoints=f"sqs={nobody}"), secret)
    yield made
    made.close()


async def test_own_services_are_called_as_the_account_or_as_a_role(stack: PlatformStack, clients: AwsClients) -> None:
    name = stack.deploy(None, ECHO)

    answer = await clients.call(
        "lambda", "Invoke", **WHERE, deadline=Deadline.after(60), FunctionName=name, Payload=b'{"n":1}'
    )
    role = "arn:aws:iam::000000000000:role/worker"
    me = await clients.call("sts", "GetCallerIdentity", **WHERE, role=role, deadline=Deadline.after(60))
    platform = await clients.call("sts", "GetCallerIdentity", **WHERE, deadline=Deadline.after(60))

    assert json.loads(answer["Payload"]) == {"n": 1}
    assert me["Arn"] == "arn:aws:sts::000000000000:assumed-role/worker/hearth"
    assert platform["Arn"] == "arn:aws:iam::000000000000:root"


async def test_error_of_the_service_keeps_its_code_status_and_text(clients: AwsClients) -> None:
    with pytest.raises(AwsCallFailed) as caught:
        await clients.call("lambda", "GetFunction", **WHERE, deadline=Deadline.after(60), FunctionName="nope")

    assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)
    assert caught.value.message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope"


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("lambda", "GetFunction", "ParamValidationError"),
        ("lambda", "MakeCoffee", "UnknownOperation"),
    ],
)
async def test_what_botocore_refuses_was_never_sent(
    clients: AwsClients, service: str, operation: str, code: str
) -> None:
    with pytest.raises(AwsCallFailed) as caught:
        await clients.call(service, operation, **WHERE, deadline=Deadline.after(60))

    assert caught.value.code == code


async def test_unserved_service_names_the_flag_and_silent_server_is_unreachable(clients: AwsClients) -> None:
    with pytest.raises(ServiceNotServed, match="hearth up --with sns"):
        await clients.call("sns", "Publish", **WHERE, deadline=Deadline.after(60), Message="m")
    with pytest.raises(AwsUnreachable):
        await clients.call("sqs", "ListQueues", **WHERE, deadline=Deadline.after(60))
