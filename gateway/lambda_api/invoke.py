"""Invoke: from the caller's request to an Invocation, and from its result to the answer.

The warm path: no call to a store, one publish and one reply. Source: Lambda API reference, Invoke; texts and the
order of the checks as recorded from AWS.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from gateway import metrics
from gateway.call import Call
from gateway.ids import new_trace_id
from gateway.lambda_api.admission import admit
from gateway.lambda_api.names import function_ref, not_found
from hearth.arn import LATEST, FunctionRef
from hearth.clock import Deadline, now_ms
from hearth.errors import (
    HearthError,
    InvalidRequestContent,
    InvalidRuntime,
    RequestEntityTooLarge,
    ResourceConflict,
    ServiceError,
    ServiceUnavailable,
    TooManyRequests,
)
from hearth.invoker import budget_s
from hearth.json_problem import parser_text
from hearth.limits import Limits
from hearth.model.event import Event
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from hearth.store.functions import FunctionRecord

MAX_INVOKE_ARGS_BYTES = 262_144
MAX_CLIENT_CONTEXT_BYTES = 3583


async def invoke(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    kind = given.get("InvocationType", "RequestResponse")
    record = await runnable(call, ref, kind)
    payload = payload_of(given.get("Payload") or b"{}", kind, call.backends.limits)
    if kind == "DryRun":
        return {"StatusCode": 204}
    if kind == "Event":
        return await _event(call, ref, payload)
    return await _request_response(call, ref, record, given, payload)


async def runnable(call: Call, ref: FunctionRef, kind: str) -> FunctionRecord:
    """The version that serves this request, if it may run now."""
    found = await call.backends.cache.resolve(call.caller.account, call.caller.region, ref.name, ref.qualifier)
    if found is None:
        raise not_found(call, ref.name, ref.qualifier)
    function, record = found
    if record.state != "Active":
        record = await call.backends.settler.healed(record)
        if record.state != "Active":
            raise ResourceConflict(
                "The operation cannot be performed at this time. The function is currently in the following state: "
                f"{record.state}"
            )
    if kind == "RequestResponse":
        admit(call, function)
    return record


async def _request_response(
    call: Call, ref: FunctionRef, record: FunctionRecord, given: dict[str, Any], payload: bytes
) -> dict[str, Any]:
    version, headers, trace_id = record.version, call.request.headers, call.trace_id
    call.headers.append((b"x-amzn-trace-id", trace_id.encode()))
    deadline = Deadline.after(budget_s(call.backends.settings, version))
    arn = version.arn
    result = await call.backends.invoker.invoke(
        Invocation(
            request_id=call.request_id,
            version_key=version.key,
            invoked_arn=f"{arn}:{ref.qualifier}" if ref.qualifier else arn,
            family=version.family,
            payload=payload,
            gives_up_at_ms=deadline.epoch_ms(),
            trace_id=trace_id,
            client_context=client_context(given.get("ClientContext")),
            content_type=headers.get("content-type", "application/json"),
            tail=given.get("LogType") == "Tail",
        ),
        deadline=deadline,
    )
    return _answer(result, given)


async def _event(call: Call, ref: FunctionRef, payload: bytes) -> dict[str, Any]:
    """Accepted once the broker has stored it. The version is resolved when it runs."""
    caller, headers = call.caller, call.request.headers
    trace_id = headers.get("x-amzn-trace-id") or new_trace_id()
    event = Event(
        request_id=call.request_id,
        account=caller.account,
        region=caller.region,
        name=ref.name,
        payload=payload,
        accepted_at_ms=now_ms(),
        qualifier=ref.qualifier or "",
        trace_id=trace_id,
        content_type=headers.get("content-type", "application/json"),
    )
    async with call.backends.event_gate.passing():
        await call.backends.events.accept(event)
    metrics.event_accepted()
    call.headers.append((b"x-amzn-trace-id", trace_id.encode()))
    return {"StatusCode": 202, "Payload": b""}


async def invoke_async(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """The old form of an Event invocation: less may be sent, and there is no qualifier."""
    ref = function_ref(call, given)
    await runnable(call, ref, "Event")
    payload = payload_of(given.get("InvokeArgs") or b"{}", "Event", call.backends.limits, MAX_INVOKE_ARGS_BYTES)
    await _event(call, ref, payload)
    return {"Status": 202}


def _answer(result: InvocationResult, given: dict[str, Any]) -> dict[str, Any]:
    if result.outcome is not Outcome.OK and result.outcome is not Outcome.FUNCTION_ERROR:
        raise failure(result)
    shown: dict[str, Any] = {
        "StatusCode": 200,
        "ExecutedVersion": result.executed_version or LATEST,
        "Payload": result.payload,
    }
    if result.outcome is Outcome.FUNCTION_ERROR:
        shown["FunctionError"] = "Unhandled"
    if given.get("LogType") == "Tail":
        shown["LogResult"] = base64.b64encode(result.log_tail).decode()
    return shown


def failure(result: InvocationResult) -> HearthError:
    match result.outcome:
        case Outcome.THROTTLED:
            return TooManyRequests(result.detail or "ConcurrentInvocationLimitExceeded")
        case Outcome.UNAVAILABLE if "runtime" in result.detail:
            return InvalidRuntime(result.detail)
        case Outcome.UNAVAILABLE:
            return ServiceUnavailable(result.detail or "No worker is running.")
    return ServiceError(result.detail or "The platform lost the invocation; it may have run.")


def payload_of(payload: bytes, kind: str, limits: Limits, limit: int | None = None) -> bytes:
    """limit: bytes; None: that of the kind."""
    if limit is None:
        limit = limits.event_bytes if kind == "Event" else limits.payload_bytes
    if len(payload) > limit:
        raise RequestEntityTooLarge(
            f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        )
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequestContent(
            "Could not parse request body into json: Could not parse payload into json: "
            f"{parser_text(payload, str(exc))}"
        ) from exc
    return payload


def client_context(given: str | None) -> str:
    """Decoded JSON text; empty if none was sent."""
    if not given:
        return ""
    try:
        text = base64.b64decode(given, validate=True)
        if len(given) > MAX_CLIENT_CONTEXT_BYTES or not isinstance(orjson.loads(text), dict):
            raise ValueError
        return text.decode()
    except (binascii.Error, ValueError) as exc:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from exc
