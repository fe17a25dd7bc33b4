"""InvokeWithResponseStream: the function's pieces as PayloadChunk events while it runs, then one InvokeComplete.

What fails before the first piece is an ordinary error answer; what fails later is told by InvokeComplete.
Source: Lambda API reference, InvokeWithResponseStream.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

from gateway.call import Call
from gateway.lambda_api.invoke import client_context, failure, payload_of, runnable
from gateway.lambda_api.names import function_ref
from gateway.response_streams import OpenedStream
from hearth.clock import Deadline
from hearth.errors import HearthError
from hearth.invoker import budget_s
from hearth.model.invocation import Invocation, InvocationResult, Outcome

REQUEST_RESPONSE = "RequestResponse"


async def invoke_with_response_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    record = await runnable(call, ref, REQUEST_RESPONSE)
    payload = payload_of(given.get("Payload") or b"{}", REQUEST_RESPONSE, call.backends.limits)
    if given.get("InvocationType") == "DryRun":
        return {"StatusCode": 204}
    version, headers, trace_id = record.version, call.request.headers, call.trace_id
    deadline = Deadline.after(budget_s(call.backends.settings, version))
    invocation = Invocation(
        request_id=call.request_id,
        version_key=version.key,
        invoked_arn=f"{version.arn}:{ref.qualifier}" if ref.qualifier else version.arn,
        family=version.family,
        payload=payload,
        gives_up_at_ms=deadline.epoch_ms(),
        trace_id=trace_id,
        client_context=client_context(given.get("ClientContext")),
        content_type=headers.get("content-type", "application/json"),
        tail=given.get("LogType") == "Tail",
    )
    opened = await OpenedStream.open(call.backends.invoker, invocation, deadline)
    call.headers.append((b"x-amzn-trace-id", trace_id.encode()))
    events = _Events(opened, tail=invocation.tail)
    return {"StatusCode": 200, "ExecutedVersion": version.version, "EventStream": events}


class _Events:
    """Implements protocols.event_stream.EventSource."""

    def __init__(self, opened: OpenedStream, *, tail: bool) -> None:
        self._opened = opened
        self._tail = tail

    async def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        try:
            async for piece in self._opened:
                yield "PayloadChunk", {"Payload": piece}
        except HearthError as exc:
            yield "InvokeComplete", {"ErrorCode": exc.code, "ErrorDetails": exc.message}
            return
        yield "InvokeComplete", _completion(self._opened.result, tail=self._tail)

    async def aclose(self) -> None:
        await self._opened.aclose()


def _completion(result: InvocationResult, *, tail: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if result.outcome is Outcome.FUNCTION_ERROR:
        told = {"ErrorCode": "Unhandled", "ErrorDetails": result.payload.decode("utf-8", "replace")}
    elif result.outcome is not Outcome.OK:
        lost = failure(result)
        told = {"ErrorCode": lost.code, "ErrorDetails": lost.message}
    if tail:
        told["LogResult"] = base64.b64encode(result.log_tail).decode()
    return told
