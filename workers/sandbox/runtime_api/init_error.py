"""POST /runtime/init/error: Init failed; the runtime exits next. Allowed only before its first Next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from workers.sandbox.runtime_api import error_type, replies
from workers.sandbox.runtime_api.api import InitError, RuntimeApi
from workers.sandbox.runtime_api.request import ERROR_TYPE, Request
from workers.sandbox.runtime_api.states import RuntimeState

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    if api.state is not RuntimeState.STARTED:
        connection.send(replies.refused_transition(api.state, RuntimeState.INIT_ERROR))
    elif request.oversized:
        connection.send(replies.too_large(api.most_payload_bytes))
    else:
        connection.send(replies.ACCEPTED)
        body = request.body
        api.fail_init(InitError(body, content_type_of(body), error_type.valid(request.text(ERROR_TYPE))))


def content_type_of(body: bytes) -> str:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return "application/octet-stream"
    return "application/json"
