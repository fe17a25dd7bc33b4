"""Who may call a function URL."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.caller import Caller
from gateway.resource_policies import ResourcePolicy, url_may_be_called
from hearth.policies import Document
from hearth.store.functions import Beside, Function
from tests.unit.gateway.test_configuration import a_record

FUNCTION_URL = "lambda:InvokeFunctionUrl"
VIA_URL = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
PUBLIC = {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}


def statement(action: str, condition: dict[str, Any] | None = None, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": action, "Resource": "*", "Condition": condition or {}}


URL, INVOKE = statement(FUNCTION_URL, PUBLIC), statement("lambda:InvokeFunction", VIA_URL)


def function_with(*statements: Document) -> Function:
    policy = ResourcePolicy("r", {"Version": "2012-10-17", "Statement": list(statements)})
    return Function(a_record(), beside={f"{Beside.POLICY}:": policy.to_json()} if statements else {})


@pytest.mark.parametrize(
    ("statements", "let_in", "let_in_as_on_aws"),
    [
        ([], False, False),
        ([URL], True, False),
        ([INVOKE], False, False),
        ([URL, INVOKE], True, True),
        ([statement("lambda:*")], True, True),
        ([URL, INVOKE, statement(FUNCTION_URL, effect="Deny")], False, False),
        ([URL, statement("lambda:InvokeFunction", VIA_URL, effect="Deny")], False, False),
    ],
)
def test_anybody_is_let_in_by_one_statement_or_by_both(
    statements: list[Document], let_in: bool, let_in_as_on_aws: bool
) -> None:
    function = function_with(*statements)
    assert url_may_be_called(function, None, "NONE", None, both_actions=False) is let_in
    assert url_may_be_called(function, None, "NONE", None, both_actions=True) is let_in_as_on_aws


@pytest.mark.parametrize(
    ("account", "allowed", "statements", "let_in", "let_in_as_on_aws"),
    [
        ("000000000000", ["lambda:InvokeFunctionUrl"], [], True, False),
        ("000000000000", ["lambda:InvokeFunctionUrl"], [INVOKE], True, True),
        ("000000000000", ["lambda:InvokeFunction"], [], False, False),
        ("000000000000", ["lambda:InvokeFunction*"], [], True, True),
        ("000000000000", ["lambda:InvokeFunction*"], [URL, INVOKE], True, True),
        ("000000000000", [], [statement(FUNCTION_URL), INVOKE], True, True),
        ("111111111111", ["lambda:InvokeFunction*"], [], False, False),
        ("111111111111", ["lambda:InvokeFunction*"], [statement(FUNCTION_URL)], True, False),
        ("111111111111", ["lambda:InvokeFunction*"], [statement(FUNCTION_URL), INVOKE], True, True),
    ],
)
def test_signed_callers_need_each_action_by_their_own_policy_or_the_functions(
    account: str, allowed: list[str], statements: list[Document], let_in: bool, let_in_as_on_aws: bool
) -> None:
    own: Document = {"Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    caller = Caller(account, "us-east-1", f"arn:aws:iam::{account}:user/u", "AIDA", documents=(own,))
    function = function_with(*statements)
    assert url_may_be_called(function, None, "AWS_IAM", caller, both_actions=False) is let_in
    assert url_may_be_called(function, None, "AWS_IAM", caller, both_actions=True) is let_in_as_on_aws


def test_condition_on_who_signed_is_judged() -> None:
    only = {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::000000000000:user/u"}}
    function = function_with(statement(FUNCTION_URL, only))
    for name, let_in in (("u", True), ("v", False)):
        caller = Caller("000000000000", "us-east-1", f"arn:aws:iam::000000000000:user/{name}", "AIDA", documents=())
        assert url_may_be_called(function, None, "AWS_IAM", caller, both_actions=False) is let_in
