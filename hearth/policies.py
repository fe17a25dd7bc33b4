"""Policy documents: whether one of them lets a principal do something to a resource. Pure.

The language is IAM's: Effect, Action or NotAction, Resource or NotResource, Principal or NotPrincipal, Condition;
wildcards, policy variables. Identity-based documents (on keys, roles, sessions) have no Principal, resource-based ones
(on functions, layers) need one. An explicit Deny wins over every Allow; what nothing allows is denied.
Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hearth.policy_conditions import Context, conditions_hold, matches, substitute

#: a document as parsed JSON
Document = Mapping[str, Any]
ALLOW_ALL: Document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Verdict(Enum):
    ALLOWED = "allowed"
    #: no statement says anything of it
    IMPLICIT_DENY = "implicit deny"
    EXPLICIT_DENY = "explicit deny"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a service (`events.amazonaws.com`), or somebody of an account. Anonymous: neither."""

    service: str = ""
    account: str = ""
    #: of the user, the role's session, or the account's root
    arn: str = ""

    @property
    def arns(self) -> tuple[str, ...]:
        """What a Principal element may call it: a role's session is also its role."""
        match = _SESSION.fullmatch(self.arn)
        return (self.arn, f"arn:{match[1]}:iam::{match[2]}:role/{match[3]}") if match else (self.arn,)


_SESSION = re.compile(r"arn:([^:]+):sts::(\d{12}):assumed-role/([^/]+)/.+")


@dataclass(frozen=True, slots=True)
class Access:
    """One attempt. `action` like `lambda:InvokeFunction`, `resource` an ARN or `*`."""

    action: str
    resource: str
    principal: Principal = Principal()
    #: condition keys in lower case (`aws:sourcearn`, `lambda:functionurlauthtype`) -> value or values
    context: Context = field(default_factory=dict)


def decide(documents: Iterable[Document], access: Access, *, resource_based: bool = False) -> Verdict:
    """What the documents together say."""
    allowed = False
    for document in documents:
        for statement in statements(document):
            if not _applies(statement, access, resource_based):
                continue
            if statement.get("Effect") == "Deny":
                return Verdict.EXPLICIT_DENY
            allowed = True
    return Verdict.ALLOWED if allowed else Verdict.IMPLICIT_DENY


def authorised(
    access: Access,
    *,
    identity: Iterable[Document],
    session: Document | None = None,
    resource: Document | None = None,
    same_account: bool = True,
) -> Verdict:
    """Identity and resource together: within an account either may allow, across accounts both must.

    session: what AssumeRole narrowed the identity's permissions to. No document may deny explicitly.
    """
    verdicts = [decide(identity, access)]
    if session is not None:
        verdicts.append(decide([session], access))
    by_resource = Verdict.IMPLICIT_DENY if resource is None else decide([resource], access, resource_based=True)
    if Verdict.EXPLICIT_DENY in (*verdicts, by_resource):
        return Verdict.EXPLICIT_DENY
    by_identity = all(verdict is Verdict.ALLOWED for verdict in verdicts)
    if same_account:
        allowed = by_identity or by_resource is Verdict.ALLOWED
    else:
        allowed = by_identity and by_resource is Verdict.ALLOWED
    return Verdict.ALLOWED if allowed else Verdict.IMPLICIT_DENY


def statements(document: Document) -> list[Mapping[str, Any]]:
    given = document.get("Statement", [])
    return [given] if isinstance(given, Mapping) else list(given)


def problem_with(document: Any) -> str | None:
    """Why a document can't be an identity's policy, for people; None if it can."""
    if not isinstance(document, Mapping):
        return "a policy document is a JSON object"
    if document.get("Version") not in ("2012-10-17", "2008-10-17"):
        return 'Version must be "2012-10-17"'
    if not isinstance(document.get("Statement"), (list, Mapping)) or not statements(document):
        return "Statement must be a list of statements"
    for number, statement in enumerate(statements(document), 1):
        if not isinstance(statement, Mapping) or statement.get("Effect") not in ("Allow", "Deny"):
            return f'statement {number}: Effect must be "Allow" or "Deny"'
        if "Principal" in statement or "NotPrincipal" in statement:
            return f"statement {number}: an identity's policy has no Principal"
        for element in ("Action", "Resource"):
            if (element in statement) == (f"Not{element}" in statement):
                return f"statement {number}: needs either {element} or Not{element}"
    return None


def _applies(statement: Mapping[str, Any], access: Access, resource_based: bool) -> bool:
    return (
        _one_of(statement, "Action", access.action, access.context, fold=True)
        and _one_of(statement, "Resource", access.resource, access.context)
        and (not resource_based or _names(statement, access.principal))
        and conditions_hold(statement.get("Condition", {}), access.context)
    )


def _one_of(statement: Mapping[str, Any], element: str, value: str, context: Context, *, fold: bool = False) -> bool:
    """`fold`: case does not matter."""
    if element in statement:
        return any(matches(substitute(one, context), value, fold) for one in _listed(statement[element]))
    if f"Not{element}" in statement:
        return not any(matches(substitute(one, context), value, fold) for one in _listed(statement[f"Not{element}"]))
    return False


def _names(statement: Mapping[str, Any], principal: Principal) -> bool:
    if "Principal" in statement:
        return _is(statement["Principal"], principal)
    return "NotPrincipal" in statement and not _is(statement["NotPrincipal"], principal)


def _is(element: Any, principal: Principal) -> bool:
    if element == "*":
        return True
    if not isinstance(element, Mapping):
        return False
    for kind, value in element.items():
        for named in _listed(value):
            if kind == "Service" and named in ("*", principal.service) and principal.service:
                return True
            if kind == "AWS" and (named == "*" or (principal.account and _is_account(named, principal))):
                return True
    return False


def _is_account(named: str, principal: Principal) -> bool:
    """An account's number or root stands for everybody in it."""
    if named in (principal.account, *principal.arns):
        return True
    return re.fullmatch(rf"arn:[^:]+:iam::{principal.account}:root", named) is not None


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
