"""How a front door runs a function: the version behind its name, whether the door may, and the Invoker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from gateway.front_doors.function_uri import FunctionTarget
from gateway.lambda_api.admission import throttled
from gateway.resource_policies import INVOKE, service_may
from hearth.clock import Deadline
from hearth.invoker import budget_s
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from hearth.policies import Access, Verdict, decide
from hearth.store.functions import Function, FunctionRecord

if TYPE_CHECKING:
    from gateway.backends import Backends

SERVICE = "apigateway.amazonaws.com"
_ACTIVE = "Active"


class FunctionMissing(Exception):
    """There is no such function, version or alias, or it is not active; or the door may not run it."""


class PayloadTooLarge(Exception):
    """The event would be longer than a function takes."""


@dataclass(frozen=True, slots=True)
class Source:
    """An API that wants to run a function. arns: what policies may call the very route."""

    account: str
    arns: tuple[str, ...]
    #: ARN of the role that the API was given for it; "": the function's own policy must let the API in
    role: str = ""


async def resolve(
    backends: Backends, target: FunctionTarget, source: Source | None = None
) -> tuple[Function, FunctionRecord]:
    """The function, and the version that serves this request. Raises FunctionMissing.

    source: None if it has been checked already that the door may.
    """
    found = await backends.cache.resolve(target.account, target.region, target.name, target.qualifier)
    if found is None:
        raise FunctionMissing(target.arn)
    function, record = found
    if source is not None and not _may(backends, function, target, source):
        raise FunctionMissing(
            f"{target.arn} does not let {source.arns[0]} in: give {SERVICE} the permission lambda:InvokeFunction"
        )
    if record.state != _ACTIVE:
        record = await backends.settler.healed(record)
        if record.state != _ACTIVE:
            raise FunctionMissing(f"{target.arn} is {record.state}")
    return function, record


def _may(backends: Backends, function: Function, target: FunctionTarget, source: Source) -> bool:
    if source.role:
        return _role_may(backends, target, source)
    return any(
        service_may(function, target.qualifier, SERVICE, source_arn=arn, source_account=source.account)
        for arn in source.arns
    )


def _role_may(backends: Backends, target: FunctionTarget, source: Source) -> bool:
    """A role of the API's own account, by its policies; one without any as settings have it."""
    account, _, name = source.role.removeprefix("arn:aws:iam::").partition(":role/")
    if account != source.account or account != target.account:
        return False
    role = backends.identities.role(account, name.rpartition("/")[2])
    if role is None:
        return backends.settings.permissive
    arn = f"{target.arn}:{target.qualifier}" if target.qualifier else target.arn
    return decide(role.documents, Access(INVOKE, arn)) is Verdict.ALLOWED


def invocation(
    record: FunctionRecord,
    target: FunctionTarget,
    event: dict[str, Any],
    deadline: Deadline,
    *,
    request_id: str,
    trace_id: str,
    most_bytes: int,
) -> Invocation:
    """Raises PayloadTooLarge."""
    payload = orjson.dumps(event)
    if len(payload) > most_bytes:
        raise PayloadTooLarge
    arn = record.version.arn
    return Invocation(
        request_id=request_id,
        version_key=record.version.key,
        invoked_arn=f"{arn}:{target.qualifier}" if target.qualifier else arn,
        family=record.version.family,
        payload=payload,
        gives_up_at_ms=deadline.epoch_ms(),
        trace_id=trace_id,
    )


def deadline_of(backends: Backends, record: FunctionRecord, timeout_s: float | None) -> Deadline:
    """timeout_s: after which the door itself gives up."""
    budget = budget_s(backends.settings, record.version)
    return Deadline.after(budget if timeout_s is None else min(timeout_s, budget))


async def run(
    backends: Backends,
    target: FunctionTarget,
    event: dict[str, Any],
    *,
    request_id: str,
    trace_id: str,
    source: Source | None = None,
    timeout_s: float | None = None,
) -> InvocationResult:
    """source: None if it has been checked already that the door may.

    Raises FunctionMissing, PayloadTooLarge, InvocationTimedOut, Unavailable.
    """
    function, record = await resolve(backends, target, source)
    if reason := throttled(backends, function):
        return InvocationResult(Outcome.THROTTLED, detail=reason)
    deadline = deadline_of(backends, record, timeout_s)
    most_bytes = backends.limits.payload_bytes
    asked = invocation(record, target, event, deadline, request_id=request_id, trace_id=trace_id, most_bytes=most_bytes)
    return await backends.invoker.invoke(asked, deadline=deadline)
