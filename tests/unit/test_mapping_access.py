"""Whose word lets a function read a mapping's source."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.mapping_access import refusal, role_of
from hearth.model.mapping import EventSourceMapping, SourceKind

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
ROLE = "arn:aws:iam::000000000000:role/of/readers/reader"
MAPPING = EventSourceMapping("u", "000000000000", "us-east-1", SourceKind.SQS, QUEUE, "f", "", 0, 0)


def document(effect: str, action: str, **members: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Action": action, "Resource": QUEUE, **members}]}


ALLOW, DENY = document("Allow", "sqs:*"), document("Deny", "sqs:DeleteMessage")
LETS_IN = document("Allow", "sqs:*", Principal={"AWS": "arn:aws:iam::000000000000:role/reader"})


def test_path_of_a_role_is_no_part_of_its_name() -> None:
    assert role_of(ROLE) == ("000000000000", "reader")


@pytest.mark.parametrize(
    ("documents", "policy", "same_account", "refused"),
    [
        ([ALLOW], None, True, ""),
        ([], None, True, "ReceiveMessage"),
        ([ALLOW, DENY], None, True, "DeleteMessage"),
        ([], LETS_IN, True, ""),
        ([DENY], LETS_IN, True, "DeleteMessage"),
        ([], LETS_IN, False, "ReceiveMessage"),
        ([ALLOW], None, False, "ReceiveMessage"),
        ([ALLOW], LETS_IN, False, ""),
    ],
)
def test_role_or_queue_lets_the_function_in_and_across_accounts_both(
    documents: list[Any], policy: Any, same_account: bool, refused: str
) -> None:
    told = refusal(MAPPING, ROLE, documents, source_policy=policy, same_account=same_account)
    assert told == (refused and f"The function execution role does not have permissions to call {refused} on SQS")
