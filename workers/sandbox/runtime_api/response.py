"""POST /runtime/invocation/{id}/response: the function's result.

A streamed response (header `Lambda-Runtime-Function-Response-Mode: streaming`) goes on piece by piece if the caller
takes a stream, else it is buffered; an error in its trailers becomes the result.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from workers.sandbox.runtime_api import error_type, replies
from workers.sandbox.runtime_api.api import Answer, RuntimeApi
from workers.sandbox.runtime_api.request import CONTENT_TYPE, ERROR_BODY, ERROR_TYPE, RESPONSE_MODE, Request
from workers.sandbox.runtime_api.states import RuntimeState

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection

_STREAMING = b"streaming"


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    # The order is AWS's: the id first, then the state.
    if request.request_id != api.request_id:
        connection.send(replies.INVALID_REQUEST_ID)
        return
    if api.state is not (RuntimeState.INVOCATION_RESPONSE if request.live else RuntimeState.RUNNING):
        connection.send(replies.refused_transition(api.state, RuntimeState.INVOCATION_RESPONSE))
        return
    mode = request.headers.get(RESPONSE_MODE)
    if mode and mode != _STREAMING:
        connection.send(replies.INVALID_RESPONSE_MODE)
        api.answer(_failed(request, "Runtime.InvalidResponseModeHeader", "Invalid function response mode"))
    elif request.oversized:
        connection.send(replies.too_large(api.most_payload_bytes))
        api.answer(too_large(api.most_payload_bytes), request.began_s)
    else:
        connection.send(replies.ACCEPTED)
        if mode and ERROR_TYPE in request.headers:
            api.answer(_trailing_error(request), request.began_s)
        else:
            api.answer(Answer(request.body, _content_type(request), streamed=request.streamed), request.began_s)


def begin_stream(api: RuntimeApi, request: Request) -> None:
    """From here to its end no other answer is taken. What is wrong with it is told at its end, as ever."""
    ours = request.request_id == api.request_id and api.state is RuntimeState.RUNNING
    if ours and request.headers.get(RESPONSE_MODE) == _STREAMING:
        request.live = True
        api.state = RuntimeState.INVOCATION_RESPONSE


def pass_on(api: RuntimeApi, request: Request, data: bytes, on_room: Callable[[], None]) -> bool:
    """False: the caller can't take more; `on_room` is called when it can."""
    request.streamed += len(data)
    if request.streamed > api.limits.streamed_bytes:
        request.oversized = True
    if request.oversized or api.sink is None or request.request_id != api.request_id:
        return True
    if api.sink.write(data, _content_type(request)):
        return True
    api.sink.on_room = on_room
    return False


def truncated(api: RuntimeApi, request: Request) -> None:
    """The connection was cut in the middle of the body. A streamed response can't be taken up again; a buffered one
    may still be posted anew."""
    expected = RuntimeState.INVOCATION_RESPONSE if request.live else RuntimeState.RUNNING
    ours = request.request_id == api.request_id and api.state is expected
    if ours and request.headers.get(RESPONSE_MODE) == _STREAMING:
        api.cut_short(_failed(request, "Runtime.TruncatedResponse", "Response was truncated"))


def too_large(most_bytes: int) -> Answer:
    message = f"Response payload size exceeded maximum allowed payload size ({most_bytes} bytes)."
    kind = "Function.ResponseSizeTooLarge"
    return Answer(orjson.dumps({"errorMessage": message, "errorType": kind}), error_type=kind)


def _content_type(request: Request) -> str:
    return request.text(CONTENT_TYPE, "application/octet-stream")


def _trailing_error(request: Request) -> Answer:
    try:
        body = base64.b64decode(request.headers.get(ERROR_BODY, b""), validate=True)
    except binascii.Error:
        body = b""
    kind = error_type.valid(request.text(ERROR_TYPE))
    return Answer(body or b"{}", error_type=kind, streamed=request.streamed)


def _failed(request: Request, kind: str, message: str) -> Answer:
    text = f"RequestId: {request.request_id} Error: {message}"
    return Answer(orjson.dumps({"errorType": kind, "errorMessage": text}), error_type=kind)
