"""Method and path to endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workers.sandbox.extensions import errors, next_event, register
from workers.sandbox.runtime_api import error, init_error, init_process, ping, replies, response, restore
from workers.sandbox.runtime_api import next as next_invocation
from workers.sandbox.runtime_api.api import RuntimeApi
from workers.sandbox.runtime_api.request import Request
from workers.sandbox.telemetry import endpoint as telemetry

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection

Endpoint = Callable[[RuntimeApi, "RuntimeConnection", Request], None]

_FIXED: dict[bytes, tuple[bytes, Endpoint]] = {
    b"/2018-06-01/runtime/invocation/next": (b"GET", next_invocation.handle),
    b"/2018-06-01/runtime/init/error": (b"POST", init_error.handle),
    b"/2018-06-01/runtime/restore/next": (b"GET", restore.handle_next),
    b"/2018-06-01/runtime/restore/error": (b"POST", restore.handle_error),
    b"/2020-01-01/extension/register": (b"POST", register.handle),
    b"/2020-01-01/extension/event/next": (b"GET", next_event.handle),
    b"/2020-01-01/extension/init/error": (b"POST", errors.handle_init),
    b"/2020-01-01/extension/exit/error": (b"POST", errors.handle_exit),
    b"/2022-07-01/telemetry": (b"PUT", telemetry.handle_telemetry),
    b"/2020-08-15/logs": (b"PUT", telemetry.handle_logs),
    b"/hearth/init": (b"GET", init_process.handle),
    b"/ping": (b"GET", ping.handle),
}
_INVOCATION = b"/2018-06-01/runtime/invocation/"
_OF_INVOCATION: dict[bytes, tuple[bytes, Endpoint]] = {
    b"response": (b"POST", response.handle),
    b"error": (b"POST", error.handle),
}


def dispatch(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    route = _FIXED.get(request.path)
    if route is None and request.path.startswith(_INVOCATION):
        request_id, _, action = request.path[len(_INVOCATION) :].partition(b"/")
        request.request_id = request_id.decode("ascii", "replace")
        route = _OF_INVOCATION.get(action)
    if route is None:
        connection.send(replies.NOT_FOUND)
    elif route[0] != request.method:
        connection.send(replies.METHOD_NOT_ALLOWED)
    else:
        route[1](api, connection, request)


def begin_stream(api: RuntimeApi, request: Request) -> None:
    """Its head is there: a streamed response that somebody waits for goes on as it comes."""
    request_id, _, action = request.path.removeprefix(_INVOCATION).partition(b"/")
    if action == b"response" and request.method == b"POST":
        request.request_id = request_id.decode("ascii", "replace")
        response.begin_stream(api, request)


def cut_off(api: RuntimeApi, request: Request) -> None:
    """The connection ended in the middle of this request."""
    request_id, _, action = request.path.removeprefix(_INVOCATION).partition(b"/")
    if action == b"response":
        request.request_id = request_id.decode("ascii", "replace")
        response.truncated(api, request)
