"""STS: who one is, and temporary credentials of roles and users. Nothing is stored: a token carries its claims.

Source: STS API reference; texts as recorded from AWS.
"""

from __future__ import annotations

import re
import time
from typing import Any

import orjson

from gateway.call import Call
from gateway.keys import role_id
from hearth.credentials import Credentials, Session, mint
from hearth.errors import AccessDenied, ApiError, ValidationFailed
from hearth.policies import problem_with

DEFAULT_ROLE_S = 3600
DEFAULT_USER_S = 43_200
MAX_TAGS = 50
MAX_POLICY_CHARACTERS = 2048
_ROLE = re.compile(r"arn:[^:]+:iam::(\d{12}):role/(?:.+/)?([\w+=,.@-]+)")
_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")


async def get_caller_identity(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return {"UserId": call.caller.user_id, "Account": call.caller.account, "Arn": call.caller.arn}


async def assume_role(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A role exists by being named. One of another account can be assumed only where roles may do everything."""
    arn, name, caller = given["RoleArn"], given["RoleSessionName"], call.caller
    if not _ARN.fullmatch(arn):
        raise ValidationFailed(f"{arn} is invalid")
    match = _ROLE.fullmatch(arn)
    if match is None or (match[1] != caller.account and not call.backends.settings.permissive):
        raise AccessDenied(f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}")
    account, role = match[1], match[2]
    tags, transitive = _tags(call, given)
    session = Session(
        account,
        caller.region,
        arn,
        name,
        int(time.time()) + given.get("DurationSeconds", DEFAULT_ROLE_S),
        _policy(given),
        tags,
        transitive,
    )
    return {
        "Credentials": _shown(mint(call.backends.secret, session), session),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role_id(arn)}:{name}",
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        },
    }


async def get_session_token(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    caller = call.caller
    if ":assumed-role/" in caller.arn or "x-amz-security-token" in call.request.headers:
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    user = ":user/" in caller.arn
    session = Session(
        caller.account,
        caller.region,
        caller.arn if user else "",
        caller.access_key if user else "root",
        int(time.time()) + given.get("DurationSeconds", DEFAULT_USER_S),
    )
    return {"Credentials": _shown(mint(call.backends.secret, session), session)}


async def get_access_key_info(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    account = call.backends.keys.account_of(given["AccessKeyId"])
    if account is None:
        raise ValidationFailed(f"{given['AccessKeyId']} is not an access key of this platform.")
    return {"Account": account}


def _tags(call: Call, given: dict[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The new session's tags, and which of them are passed on to sessions made from it."""
    caller, own = call.caller, {one["Key"]: one["Value"] for one in given.get("Tags", [])}
    inherited = {name: caller.tags[name] for name in caller.transitive if name in caller.tags}
    folded = {name.lower() for name in inherited}
    if len(own) > MAX_TAGS:
        raise ApiError("InvalidParameterValue", 400, f"No more than {MAX_TAGS} session tags can be passed.")
    if any(name.lower() in folded for name in own):
        raise ApiError(
            "InvalidParameterValue",
            400,
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
            "from the calling session.",
        )
    wanted = tuple(given.get("TransitiveTagKeys", ()))
    if missing := [name for name in wanted if name not in own]:
        raise ApiError(
            "InvalidParameterValue", 400, f"The specified transitive tag key must be included in the tags: {missing[0]}"
        )
    return own | inherited, (*inherited, *wanted)


def _policy(given: dict[str, Any]) -> str:
    text = given.get("Policy", "")
    if not text:
        return ""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise ApiError("MalformedPolicyDocument", 400, "Syntax errors in policy.") from exc
    if problem := problem_with(document):
        raise ApiError("MalformedPolicyDocument", 400, f"The policy is not in the valid JSON format: {problem}")
    compact = orjson.dumps(document).decode()
    if len(compact) > MAX_POLICY_CHARACTERS:
        raise ApiError("PackedPolicyTooLarge", 400, f"Packed policy is larger than {MAX_POLICY_CHARACTERS} characters.")
    return compact


def _shown(minted: Credentials, session: Session) -> dict[str, Any]:
    return {
        "AccessKeyId": minted.access_key_id,
        "SecretAccessKey": minted.secret_access_key,
        "SessionToken": minted.session_token,
        "Expiration": session.expires_at_s,
    }
