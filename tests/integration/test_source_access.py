"""What a queue's own policy says of a function that reads it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import redis

from hearth.aws_clients import AwsClients
from hearth.errors import AccessDenied
from hearth.model.identity import Role
from hearth.model.mapping import EventSourceMapping, SourceKind
from hearth.settings import Settings
from hearth.store import Store, Stores, keys
from hearth.store.identities import IdentityTable
from pollers.source_access import SourceAccess
from tests.support.companion import CompanionServer
from tests.support.functions import ECHO
from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/reads-by-policy"


async def test_queues_policy_that_decides_is_to_be_asked_again_and_taken_away_it_decides_no_more(
    stack: PlatformStack, companion: CompanionServer
) -> None:
    sqs, name = companion.client("sqs"), f"q-{uuid.uuid4().hex[:8]}"
    url, queue = sqs.create_queue(QueueName=name)["QueueUrl"], f"arn:aws:sqs:us-east-1:000000000000:{name}"
    function = stack.deploy(None, ECHO, Role=ROLE)
    mapping = EventSourceMapping("u", "000000000000", "us-east-1", SourceKind.SQS, queue, function, "", 0, 0)
    settings = Settings.load(port=stack.port, aws_endpoints=f"sqs={companion.endpoint}", role_default="deny")
    with redis.Redis.from_url(stack.servers.state_url) as state:
        secret = state.get(keys.SECRET)
    assert isinstance(secret, bytes)
    aws = AwsClients(settings, secret)
    stores = Stores(Store("state", stack.servers.state_url), Store("coordination", stack.servers.coordination_url))
    access, roles = SourceAccess(settings, stores, aws), IdentityTable(stores.state)

    def lets_in(policy: dict[str, Any] | None) -> None:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy) if policy else ""})

    allowed = {"Effect": "Allow", "Action": "sqs:*", "Resource": queue}
    try:
        lets_in({"Version": "2012-10-17", "Statement": [allowed | {"Principal": {"AWS": ROLE}}]})
        assert await access.check(mapping)
        lets_in(None)
        with pytest.raises(AccessDenied, match="permissions to call ReceiveMessage on SQS"):
            await access.check(mapping)
        await roles.put_role(Role("000000000000", "reads-by-policy", ({"Statement": [allowed]},)))
        assert await access.check(mapping) is None
    finally:
        await roles.delete_role("000000000000", "reads-by-policy")
        await stores.close()
        aws.close()
