"""Invocation and InvocationResult <-> AMQP body, properties and headers.

The body is the payload's raw bytes, never wrapped. Everything else is a property or a header, and what would hold
its default is left out: fewer bytes, and the codec's cost is per field.

request  message_id request id · correlation_id the caller's own · reply_to · [type invocation type] · [content_type]
         headers: family key arn until [epoch trace context cognito stream tail attempt placed again claim]
reply    correlation_id · type outcome, or "part" for a piece of a large body that others follow, or "stream" for a
         piece of a streamed response · [content_type]
         headers: [version detail epoch log billed cold]
stream   the first piece names in reply_to where the caller sends credits, and in message_id under which name
credit   correlation_id that name · body: decimal bytes that the caller has taken; empty: it takes no more
"""

from __future__ import annotations

from typing import Any

from pika import BasicProperties

from hearth.arn import LATEST
from hearth.model.invocation import Invocation, InvocationResult, InvocationType, Outcome

#: `type` of a reply that holds only a piece of the body
PART = "part"
#: `type` of a reply that holds a piece of a streamed response; the end mark is the outcome
STREAM = "stream"
#: bytes of a stream that may be on their way to the caller
STREAM_WINDOW_BYTES = 1 << 20
#: larger bodies go out in pieces, so that one large answer does not hold up the connection for the others
PART_BYTES = 64 * 1024
JSON = "application/json"
REQUEST_RESPONSE = InvocationType.REQUEST_RESPONSE.value


def invocation_properties(
    invocation: Invocation, *, correlation_id: str | None, reply_to: str | None
) -> BasicProperties:
    headers: dict[str, Any] = {
        "family": invocation.family,
        "key": invocation.version_key,
        "arn": invocation.invoked_arn,
        "until": invocation.gives_up_at_ms,
    }
    if invocation.epoch:
        headers["epoch"] = invocation.epoch
    if invocation.trace_id:
        headers["trace"] = invocation.trace_id
    if invocation.client_context:
        headers["context"] = invocation.client_context
    if invocation.cognito_identity:
        headers["cognito"] = invocation.cognito_identity
    if invocation.streaming:
        headers["stream"] = True
    if invocation.tail:
        headers["tail"] = True
    if invocation.attempt != 1:
        headers["attempt"] = invocation.attempt
    if invocation.placed_at_ms:
        headers["placed"] = invocation.placed_at_ms
    if invocation.again:
        headers["again"] = True
    if invocation.claim:
        headers["claim"] = invocation.claim
    return BasicProperties(
        content_type=_unless(invocation.content_type, JSON),
        headers=headers,
        correlation_id=correlation_id,
        reply_to=reply_to,
        message_id=invocation.request_id,
        type=_unless(invocation.invocation_type.value, REQUEST_RESPONSE),
    )


def read_invocation(properties: BasicProperties, body: bytes) -> Invocation:
    """Raises KeyError or ValueError for a message that isn't ours."""
    headers = properties.headers or {}
    get = headers.get
    return Invocation(
        request_id=properties.message_id or "",
        version_key=headers["key"],
        invoked_arn=headers["arn"],
        family=headers["family"],
        payload=body,
        gives_up_at_ms=headers["until"],
        epoch=get("epoch", 0),
        invocation_type=InvocationType(properties.type or REQUEST_RESPONSE),
        trace_id=get("trace", ""),
        client_context=get("context", ""),
        content_type=properties.content_type or JSON,
        cognito_identity=get("cognito", ""),
        streaming=get("stream", False),
        tail=get("tail", False),
        attempt=get("attempt", 1),
        placed_at_ms=get("placed", 0),
        again=get("again", False),
        claim=get("claim", ""),
    )


def result_properties(result: InvocationResult, correlation_id: str | None) -> BasicProperties:
    headers: dict[str, Any] = {}
    if result.executed_version != LATEST:
        headers["version"] = result.executed_version
    if result.detail:
        headers["detail"] = result.detail
    if result.epoch:
        headers["epoch"] = result.epoch
    if result.log_tail:
        headers["log"] = result.log_tail
    if result.billed_ms:
        headers["billed"] = result.billed_ms
    if result.cold_start:
        headers["cold"] = True
    return BasicProperties(
        content_type=_unless(result.content_type, JSON),
        headers=headers or None,
        correlation_id=correlation_id,
        type=result.outcome.value,
    )


def part_properties(correlation_id: str | None) -> BasicProperties:
    return BasicProperties(correlation_id=correlation_id, type=PART)


def stream_properties(
    correlation_id: str | None, content_type: str, *, name: str | None = None, credits_to: str | None = None
) -> BasicProperties:
    """Of a piece; name and credits_to: of the first."""
    return BasicProperties(
        correlation_id=correlation_id, type=STREAM, content_type=content_type, message_id=name, reply_to=credits_to
    )


def read_result(properties: BasicProperties, body: bytes) -> InvocationResult:
    get = (properties.headers or {}).get
    return InvocationResult(
        outcome=Outcome(properties.type or "lost"),
        payload=body,
        executed_version=get("version", LATEST),
        log_tail=get("log", b""),
        detail=get("detail", ""),
        content_type=properties.content_type or JSON,
        epoch=get("epoch", 0),
        billed_ms=get("billed", 0),
        cold_start=get("cold", False),
    )


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value
