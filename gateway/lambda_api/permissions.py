"""AddPermission, RemovePermission, GetPolicy, and Get-, Put-, DeleteResourcePolicy, which speak of the whole policy.

A change gives the function, version or alias that the policy belongs to a new revision, which is the policy's too.
Source: Lambda API reference; forms of statements, order of checks and texts as recorded from AWS.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.call import Call
from gateway.lambda_api.names import find_function, function_ref, not_found
from gateway.lambda_api.versions import new_revision
from gateway.resource_policies import ResourcePolicy, as_json, policy_of
from hearth.arn import LATEST, FunctionRef, function_arn
from hearth.errors import (
    ApiError,
    InvalidParameterValue,
    PreconditionFailed,
    ResourceConflict,
    ResourceNotFound,
)
from hearth.model.function import Alias
from hearth.policies import statements
from hearth.store.functions import Beside, Function, FunctionRecord, Put

_ALIAS_NAME = re.compile(r"(?!^[0-9]+$)[a-zA-Z0-9-_]+")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.com(\.cn)?|amazon\.com|aws\.internal)")
_ARN = re.compile(r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:.+")
_NOTHING = "The resource you requested does not exist."


@dataclass(frozen=True, slots=True)
class _Owner:
    """What a policy belongs to, as it was read. qualifier: "" for the function itself."""

    function: Function
    qualifier: str
    of: FunctionRecord | Alias
    policy: ResourcePolicy | None

    @property
    def arn(self) -> str:
        arn = self.function.latest.version.arn
        return f"{arn}:{self.qualifier}" if self.qualifier else arn

    @property
    def statements(self) -> list[dict[str, Any]]:
        return [dict(one) for one in statements(self.policy.document)] if self.policy else []


async def add_permission(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    if ref.qualifier == LATEST:
        raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")
    principal = _principal(given["Principal"])
    while True:
        owner = await _owner(call, ref)
        _check_revision(owner, given)
        known = owner.statements
        if any(one.get("Sid") == given["StatementId"] for one in known):
            raise _exists(given["StatementId"])
        added = {
            "Sid": given["StatementId"],
            "Effect": "Allow",
            "Principal": principal,
            "Action": given["Action"],
            "Resource": owner.arn,
            **_conditions(given),
        }
        if await _store(call, owner, _document([*known, added])):
            return {"Statement": as_json(added)}


async def remove_permission(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref, sid = function_ref(call, given), given["StatementId"]
    while True:
        try:
            owner = await _owner(call, ref)
        except ResourceNotFound:
            if await call.backends.functions.function(call.caller.account, call.caller.region, ref.name) is None:
                arn = function_arn(call.caller.region, call.caller.account, ref.name)
                raise ResourceNotFound(f"No policy found for: {arn}") from None
            raise
        if owner.policy is None:
            raise ResourceNotFound("No policy is associated with the given resource.")
        kept = [one for one in owner.statements if one.get("Sid") != sid]
        if len(kept) == len(owner.statements):
            raise ResourceNotFound(f"Statement {sid} is not found in resource policy.")
        _check_revision(owner, given)
        if await _store(call, owner, _document(kept) if kept else None):
            return {}


async def get_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    function = await call.backends.functions.function(call.caller.account, call.caller.region, ref.name)
    policy = policy_of(function, ref.qualifier) if function else None
    if policy is None:
        raise ResourceNotFound(_NOTHING)
    return {"Policy": as_json(policy.document), "RevisionId": policy.revision_id}


async def get_resource_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await get_policy(call, {"FunctionName": _function_name(given)})


async def put_resource_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """In place of the whole policy."""
    ref = function_ref(call, {"FunctionName": _function_name(given)})
    if ref.qualifier == LATEST:
        raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")
    document = _given_document(given["Policy"])
    while True:
        owner = await _owner(call, ref)
        _check_revision(owner, given)
        if revision := await _store(call, owner, document):
            return {"Policy": as_json(document), "RevisionId": revision}


async def delete_resource_policy(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, {"FunctionName": _function_name(given)})
    while True:
        owner = await _owner(call, ref)
        if owner.policy is None:
            raise ResourceNotFound(_NOTHING)
        _check_revision(owner, given)
        if await _store(call, owner, None):
            return {}


async def _owner(call: Call, ref: FunctionRef) -> _Owner:
    """Raises ResourceNotFound."""
    function = await find_function(call, ref)
    qualifier = "" if ref.qualifier in (None, LATEST) else str(ref.qualifier)
    of: FunctionRecord | Alias | None = function.latest
    if qualifier.isdecimal():
        of = await call.backends.functions.get(call.caller.account, call.caller.region, ref.name, qualifier)
    elif qualifier:
        of = function.aliases.get(qualifier)
        if of is None and _ALIAS_NAME.fullmatch(qualifier):
            arn = function_arn(call.caller.region, call.caller.account, ref.name, qualifier)
            raise ResourceNotFound(f"Cannot find alias arn: {arn}")
    if of is None:
        raise not_found(call, ref.name, qualifier)
    return _Owner(function, qualifier, of, policy_of(function, qualifier))


async def _store(call: Call, owner: _Owner, document: dict[str, Any] | None) -> str:
    """The new revision once every gateway knows; "" if something was changed meanwhile: read again.

    The owner's revision goes first: whoever has read the old one then fails, so the policy has one writer at a time.
    """
    functions, revision = call.backends.functions, new_revision()
    size = len(as_json(document)) if document else 0
    if size > (most := call.backends.limits.policy_bytes):
        text = f"The final policy size ({size}) is bigger than the limit ({most})."
        raise ApiError("PolicyLengthExceededException", 400, text)
    new = dataclasses.replace(owner.of, revision_id=revision)
    if isinstance(owner.of, FunctionRecord) and isinstance(new, FunctionRecord):
        if not await functions.replace(owner.of, new):
            return ""
    elif isinstance(new, Alias) and await functions.put_alias(owner.function, new.name, new) is not Put.DONE:
        return ""
    data = ResourcePolicy(revision, document).to_json() if document else None
    if await functions.put_beside(owner.function, Beside.POLICY, owner.qualifier, data) is not Put.DONE:
        return ""
    await call.backends.settler.spread(owner.function.latest.version)
    return revision


def _document(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Id": "default", "Statement": parts}


def _given_document(text: str) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise InvalidParameterValue("The provided policy is not valid JSON.") from exc
    if not isinstance(document, dict) or not statements(document):
        raise InvalidParameterValue("The provided policy has no statements.")
    for one in statements(document):
        if one.get("Effect") not in ("Allow", "Deny") or not {"Principal", "Action", "Resource"} <= one.keys():
            raise InvalidParameterValue("Each statement of the policy needs Effect, Principal, Action and Resource.")
    return document


def _principal(text: str) -> Any:
    if text == "*":
        return "*"
    if re.fullmatch(r"\d{12}", text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if _ARN.fullmatch(text):
        return {"AWS": text}
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    raise InvalidParameterValue("The provided principal was invalid. Please check the principal and try again.")


def _conditions(given: dict[str, Any]) -> dict[str, Any]:
    equal = {
        "AWS:SourceAccount": given.get("SourceAccount"),
        "lambda:FunctionUrlAuthType": given.get("FunctionUrlAuthType"),
        "aws:PrincipalOrgID": given.get("PrincipalOrgID"),
        "lambda:EventSourceToken": given.get("EventSourceToken"),
    }
    condition: dict[str, Any] = {}
    if wanted := {name: value for name, value in equal.items() if value is not None}:
        condition["StringEquals"] = wanted
    if given.get("SourceArn") is not None:
        condition["ArnLike"] = {"AWS:SourceArn": given["SourceArn"]}
    if given.get("InvokedViaFunctionUrl") is not None:
        via = "true" if given["InvokedViaFunctionUrl"] else "false"
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": via}
    return {"Condition": condition} if condition else {}


def _check_revision(owner: _Owner, given: dict[str, Any]) -> None:
    """The policy's revision counts, and as long as there is none, its owner's."""
    latest = owner.policy.revision_id if owner.policy else owner.of.revision_id
    if given.get("RevisionId") not in (None, latest):
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the "
            "latest Revision Id"
        )


def _exists(sid: str) -> ResourceConflict:
    return ResourceConflict(
        f"The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing "
        "statement."
    )


def _function_name(given: dict[str, Any]) -> str:
    """Of ResourceArn: only functions have policies here."""
    arn: str = given["ResourceArn"]
    if ":function:" not in arn:
        raise ResourceNotFound(_NOTHING)
    return arn


OPERATIONS = {
    "AddPermission": add_permission,
    "DeleteResourcePolicy": delete_resource_policy,
    "GetPolicy": get_policy,
    "GetResourcePolicy": get_resource_policy,
    "PutResourcePolicy": put_resource_policy,
    "RemovePermission": remove_permission,
}
