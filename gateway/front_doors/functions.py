"""How a front door runs a function: the version behind its name, whether the door may, and the Invoker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gateway.front_doors.function_uri import FunctionTarget
from gateway.lambda_api.admission import throttled
from hearth.clock import Deadline
from hearth.invoker import budget_s
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from hearth.store.functions import FunctionRecord

if TYPE_CHECKING:
    from gateway.backends import Backends

MAX_PAYLOAD_BYTES = 6_291_456
_ACTIVE = "Active"


class FunctionMissing(Exception):
    """There is no such function, version or alias, or it is not active; or the door may not run it."""


class PayloadTooLarge(Exception):
    """The event would be longer than a function takes."""


async def resolve(backends: Backends, target: FunctionTarget) -> FunctionRecord:
    """The version that serves this request. Raises FunctionMissing."""
    record = await backends.cache.get(target.account, target.region, target.name, target.qualifier)
    if record is None:
        raise FunctionMissing(target.arn)
    if record.state != _ACTIVE:
        record = await backends.settler.healed(record)
        if record.state != _ACTIVE:
            raise FunctionMissing(f"{target.arn} is {record.state}")
    return record


def invocation(
    record: FunctionRecord,
    target: FunctionTarget,
    event: dict[str, Any],
    deadline: Deadline,
    *,
    request_id: str,
    trace_id: str,
) -> Invocation:
    """Raises PayloadTooLarge."""
    payload = orjson.dumps(event)
    if len(payload) > MAX_PAYLOAD_BYTES:
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
    source_arn: str,
    timeout_s: float | None = None,
) -> InvocationResult:
    """source_arn: the door's, as policies name it.

    Raises FunctionMissing, PayloadTooLarge, InvocationTimedOut, Unavailable.
    """
    record = await resolve(backends, target)
    function = await backends.cache.function(target.account, target.region, target.name)
    if function is not None and (reason := throttled(backends, function)):
        return InvocationResult(Outcome.THROTTLED, detail=reason)
    deadline = deadline_of(backends, record, timeout_s)
    asked = invocation(record, target, event, deadline, request_id=request_id, trace_id=trace_id)
    return await backends.invoker.invoke(asked, deadline=deadline)
