"""POST /runtime/invocation/{id}/error: the handler failed. The posted body is the result, untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from workers.sandbox.runtime_api import error_type, replies
from workers.sandbox.runtime_api.api import Answer, RuntimeApi
from workers.sandbox.runtime_api.request import CONTENT_TYPE, ERROR_TYPE, Request
from workers.sandbox.runtime_api.response import too_large
from workers.sandbox.runtime_api.states import RuntimeState

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection

#: body with the cause for X-Ray in an `errorCause` member that the caller must not see
_WITH_CAUSE = "application/vnd.aws.lambda.error.cause+json"


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    if request.request_id != api.request_id:
        connection.send(replies.INVALID_REQUEST_ID)
    elif api.state is not RuntimeState.RUNNING:
        connection.send(replies.refused_transition(api.state, RuntimeState.INVOCATION_ERROR))
    elif request.oversized:
        connection.send(replies.too_large(api.most_payload_bytes))
        api.answer(too_large(api.most_payload_bytes), request.began_s)
    else:
        connection.send(replies.ACCEPTED)
        body, content_type = request.body, request.text(CONTENT_TYPE, "application/json")
        if content_type == _WITH_CAUSE:
            body, content_type = _without_cause(body)
        api.answer(Answer(body, content_type, error_type.valid(request.text(ERROR_TYPE))), request.began_s)


def _without_cause(body: bytes) -> tuple[bytes, str]:
    try:
        document = orjson.loads(body)
        document.pop("errorCause", None)
    except (orjson.JSONDecodeError, AttributeError):
        return b'"Invalid error body"', "application/octet-stream"
    return orjson.dumps(document), "application/json"
