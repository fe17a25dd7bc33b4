"""GET /runtime/restore/next and POST /runtime/restore/error: a runtime with SnapStart's hooks around its restoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.sandbox.runtime_api import error_type, replies
from workers.sandbox.runtime_api.api import InitError, RuntimeApi
from workers.sandbox.runtime_api.init_error import content_type_of
from workers.sandbox.runtime_api.request import ERROR_TYPE, Request
from workers.sandbox.runtime_api.states import RuntimeState

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection


def handle_next(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    if api.state is not RuntimeState.STARTED:
        connection.send(replies.refused_transition(api.state, RuntimeState.RESTORE_READY))
    else:
        api.restore(connection)


def handle_error(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    if api.state is not RuntimeState.RESTORING:
        connection.send(replies.refused_transition(api.state, RuntimeState.RESTORE_ERROR))
    elif request.oversized:
        connection.send(replies.too_large(api.most_payload_bytes))
    else:
        connection.send(replies.ACCEPTED)
        body = request.body
        api.fail_restore(InitError(body, content_type_of(body), error_type.valid(request.text(ERROR_TYPE))))
