"""What a caller that may not is told."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.caller import Caller
from hearth.errors import AccessDenied

ACTION = "lambda:InvokeFunction"


def document(effect: str, **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Action": ACTION, "Resource": "*", **more}]}


ALLOW, DENY, NOTHING = document("Allow"), document("Deny"), {"Statement": []}
RESOURCE_DENY = document("Deny", Principal="*")


@pytest.mark.parametrize(
    ("own", "session", "resource", "account", "why"),
    [
        (NOTHING, None, None, "", "because no identity-based policy allows the lambda:InvokeFunction action"),
        (NOTHING, NOTHING, None, "", "because no identity-based policy allows the lambda:InvokeFunction action"),
        (ALLOW, NOTHING, None, "", "because no session policy allows the lambda:InvokeFunction action"),
        (ALLOW, None, None, "1", "because no resource-based policy allows the lambda:InvokeFunction action"),
        (DENY, ALLOW, RESOURCE_DENY, "", "with an explicit deny in an identity-based policy"),
        (ALLOW, DENY, RESOURCE_DENY, "", "with an explicit deny in a session policy"),
        (ALLOW, ALLOW, RESOURCE_DENY, "", "with an explicit deny in a resource-based policy"),
    ],
)
def test_refusal_names_the_kind_of_policy_as_aws_does(
    own: dict[str, Any], session: dict[str, Any] | None, resource: dict[str, Any] | None, account: str, why: str
) -> None:
    caller = Caller("0", "us-east-1", "arn:u", "id", documents=(own,), session_document=session)
    with pytest.raises(AccessDenied) as caught:
        caller.check(ACTION, "arn:f", resource_policy=resource, resource_account=account)
    assert caught.value.message == f"User: arn:u is not authorized to perform: {ACTION} on resource: arn:f {why}"
