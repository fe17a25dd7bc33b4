from __future__ import annotations

from typing import Any

import pytest

from hearth.policies import ALLOW_ALL, Access, Principal, Verdict, authorised, decide, problem_with

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
INVOKE = "lambda:InvokeFunction"
ALICE = Principal(account="111111111111", arn="arn:aws:iam::111111111111:user/alice")
ROLE = Principal(account="111111111111", arn="arn:aws:sts::111111111111:assumed-role/worker/session")
EVENTS = Principal(service="events.amazonaws.com")


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | one for one in statements]}


def says(statement: dict[str, Any], access: Access, **how: Any) -> bool:
    return decide([document(statement)], access, **how) is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"Action": "lambda:InvokeFunction", "Resource": ARN}, True),
        ({"Action": "LAMBDA:invokefunction", "Resource": ARN}, True),
        ({"Action": "lambda:Invoke*", "Resource": "arn:aws:lambda:*:*:function:?"}, True),
        ({"Action": ["s3:*", "lambda:*"], "Resource": ["x", "*"]}, True),
        ({"Action": "lambda:Get*", "Resource": "*"}, False),
        ({"Action": "*", "Resource": f"{ARN}:*"}, False),
        ({"Action": "*", "Resource": ARN.upper()}, False),
        ({"NotAction": "iam:*", "Resource": "*"}, True),
        ({"NotAction": "lambda:*", "Resource": "*"}, False),
        ({"Action": "*", "NotResource": ARN}, False),
        ({"Resource": "*"}, False),
    ],
)
def test_action_and_resource_of_an_identitys_statement(statement: dict[str, Any], allowed: bool) -> None:
    assert says(statement, Access(INVOKE, ARN)) is allowed


@pytest.mark.parametrize(
    ("principal", "who", "allowed"),
    [
        ("*", Principal(), True),
        ({"AWS": "*"}, Principal(), True),
        ({"Service": "events.amazonaws.com"}, EVENTS, True),
        ({"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}, EVENTS, True),
        ({"Service": "s3.amazonaws.com"}, EVENTS, False),
        ({"Service": "*"}, ALICE, False),
        ({"AWS": "111111111111"}, ALICE, True),
        ({"AWS": "arn:aws:iam::111111111111:root"}, ROLE, True),
        ({"AWS": "arn:aws:iam::222222222222:root"}, ALICE, False),
        ({"AWS": "arn:aws:iam::111111111111:user/alice"}, ALICE, True),
        ({"AWS": "arn:aws:iam::111111111111:user/*"}, ALICE, False),
        ({"AWS": "arn:aws:iam::111111111111:role/worker"}, ROLE, True),
        ({"AWS": "arn:aws:iam::111111111111:role/other"}, ROLE, False),
        ({"AWS": "111111111111"}, Principal(), False),
    ],
)
def test_principal_of_a_resources_statement(principal: Any, who: Principal, allowed: bool) -> None:
    statement = {"Principal": principal, "Action": INVOKE, "Resource": ARN}
    assert says(statement, Access(INVOKE, ARN, who), resource_based=True) is allowed


def test_resources_statement_without_a_principal_allows_nobody() -> None:
    assert not says({"Action": "*", "Resource": "*"}, Access(INVOKE, ARN, ALICE), resource_based=True)
    assert says(
        {"NotPrincipal": {"AWS": ALICE.arn}, "Action": "*", "Resource": "*"},
        Access(INVOKE, ARN, ROLE),
        resource_based=True,
    )


CONTEXT = {
    "aws:sourcearn": "arn:aws:events:us-east-1:000000000000:rule/r",
    "aws:sourceaccount": "000000000000",
    "aws:sourceip": "10.1.2.3",
    "aws:username": "alice",
    "aws:currenttime": "2026-01-02T03:04:05Z",
    "lambda:functionurlauthtype": "NONE",
    "s3:max-keys": "10",
    "aws:tagkeys": ["a", "b"],
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:events:*:000000000000:rule/*"}}, True),
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:events:*"}}, False),
        ({"ArnEquals": {"AWS:SourceArn": "arn:aws:events:us-east-1:000000000000:rule/other"}}, False),
        ({"ArnNotLike": {"AWS:SourceArn": "arn:aws:s3:*:*:*"}}, True),
        ({"StringEquals": {"AWS:SourceAccount": "000000000000", "lambda:FunctionUrlAuthType": "NONE"}}, True),
        ({"StringEquals": {"AWS:SourceAccount": ["1", "000000000000"]}}, True),
        ({"StringEquals": {"AWS:SourceAccount": "1"}}, False),
        ({"StringNotEquals": {"AWS:SourceAccount": ["1", "000000000000"]}}, False),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}, True),
        ({"StringEqualsIgnoreCase": {"lambda:FunctionUrlAuthType": "none"}}, True),
        ({"StringLike": {"aws:username": "${aws:username}"}}, True),
        ({"StringLike": {"aws:username": "${aws:nobody}"}}, False),
        ({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}, False),
        ({"Null": {"aws:PrincipalOrgID": "true"}}, True),
        ({"Null": {"aws:username": True}}, False),
        ({"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": ["10.1.0.0/16"]}}, False),
        ({"NumericLessThanEquals": {"s3:max-keys": 10}}, True),
        ({"NumericGreaterThan": {"s3:max-keys": "10"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2026-01-03T00:00:00Z"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "c"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["b", "z"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:Nothing": "x"}}, True),
        ({"StringAlmostEquals": {"aws:username": "alice"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    statement = {"Action": "*", "Resource": "*", "Condition": condition}
    assert says(statement, Access(INVOKE, ARN, context=CONTEXT)) is holds


def test_deny_wins_wherever_it_stands() -> None:
    deny = document({"Effect": "Deny", "Action": INVOKE, "Resource": "*"})
    access = Access(INVOKE, ARN)
    assert decide([ALLOW_ALL, deny], access) is Verdict.EXPLICIT_DENY
    assert decide([deny, ALLOW_ALL], access) is Verdict.EXPLICIT_DENY
    assert decide([], access) is Verdict.IMPLICIT_DENY


def test_within_an_account_either_side_allows_across_accounts_both_must() -> None:
    access = Access(INVOKE, ARN, ALICE)
    resource = document({"Principal": {"AWS": ALICE.account}, "Action": INVOKE, "Resource": ARN})
    nothing: list[Any] = []
    assert authorised(access, identity=nothing, resource=resource) is Verdict.ALLOWED
    assert authorised(access, identity=[ALLOW_ALL]) is Verdict.ALLOWED
    assert authorised(access, identity=nothing, resource=resource, same_account=False) is Verdict.IMPLICIT_DENY
    assert authorised(access, identity=[ALLOW_ALL], same_account=False) is Verdict.IMPLICIT_DENY
    assert authorised(access, identity=[ALLOW_ALL], resource=resource, same_account=False) is Verdict.ALLOWED


def test_session_can_do_no_more_than_its_own_document() -> None:
    narrow = document({"Action": "lambda:GetFunction", "Resource": "*"})
    assert authorised(Access(INVOKE, ARN), identity=[ALLOW_ALL], session=narrow) is Verdict.IMPLICIT_DENY
    assert authorised(Access("lambda:GetFunction", ARN), identity=[ALLOW_ALL], session=narrow) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"Statement": []},
        {"Version": "2012-10-17", "Statement": []},
        {"Version": "2012-10-17", "Statement": {"Effect": "Perhaps", "Action": "*", "Resource": "*"}},
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*"}},
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}},
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"},
        },
    ],
)
def test_document_that_can_be_no_policy_of_an_identity(wrong: Any) -> None:
    assert problem_with(wrong)
    assert problem_with(ALLOW_ALL) is None
