"""Resource-based policies of functions: where they are kept, and whether they let somebody in.

A policy belongs to the function, to a version or to an alias, each its own; a call through an alias is judged by the
alias's policy alone. It is a record beside the function (`hearth.store.functions.Beside.POLICY`), so the gateway's
cache has it at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.caller import Caller
from hearth.policies import Access, Document, Principal, Verdict, decide
from hearth.store.functions import Beside, Function

INVOKE = "lambda:InvokeFunction"
INVOKE_URL = "lambda:InvokeFunctionUrl"


@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    """revision_id: that of what it belongs to, at its last change."""

    revision_id: str
    document: dict[str, Any]

    def to_json(self) -> bytes:
        return orjson.dumps([self.revision_id, self.document])

    @classmethod
    def from_json(cls, data: bytes) -> ResourcePolicy:
        return cls(*orjson.loads(data))


def policy_of(function: Function, qualifier: str | None) -> ResourcePolicy | None:
    """qualifier: a version's number, an alias; None, "" or $LATEST for the function itself."""
    data = function.beside_of(Beside.POLICY, "" if qualifier in (None, "$LATEST") else str(qualifier))
    return None if data is None else ResourcePolicy.from_json(data)


def service_may(
    function: Function, qualifier: str | None, service: str, *, source_arn: str, source_account: str
) -> bool:
    """Whether a service (`apigateway.amazonaws.com`) may invoke the function for one of its resources."""
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": source_account}
    access = Access(INVOKE, _arn(function, qualifier), Principal(service=service), context)
    return decide(_documents(function, qualifier), access, resource_based=True) is Verdict.ALLOWED


def url_may_be_called(
    function: Function, qualifier: str | None, auth_type: str, caller: Caller | None, *, both_actions: bool
) -> bool:
    """Whether a function URL may be called. caller: who signed the request; None: nobody did.

    auth_type: the URL's, NONE or AWS_IAM. both_actions: `lambda:InvokeFunction` must be allowed too, as for URLs made
    on AWS since October 2025; else it is enough that nothing denies it.
    """
    context = {"lambda:functionurlauthtype": auth_type, "lambda:invokedviafunctionurl": "true"}
    arn, documents = _arn(function, qualifier), _documents(function, qualifier)

    def verdict(action: str) -> Verdict:
        if caller is None:
            return decide(documents, Access(action, arn, Principal(), context), resource_based=True)
        return caller.verdict(
            action,
            arn,
            resource_policy=documents[0] if documents else None,
            resource_account=function.latest.version.account,
            context=context,
        )

    if verdict(INVOKE_URL) is not Verdict.ALLOWED:
        return False
    return verdict(INVOKE) in ((Verdict.ALLOWED,) if both_actions else (Verdict.ALLOWED, Verdict.IMPLICIT_DENY))


def _documents(function: Function, qualifier: str | None) -> list[Document]:
    policy = policy_of(function, qualifier)
    return [policy.document] if policy else []


def _arn(function: Function, qualifier: str | None) -> str:
    arn = function.latest.version.arn
    return f"{arn}:{qualifier}" if qualifier and qualifier != "$LATEST" else arn


def as_json(value: Mapping[str, Any]) -> str:
    """A document or a statement, as the API shows it: a string."""
    return orjson.dumps(value).decode()
