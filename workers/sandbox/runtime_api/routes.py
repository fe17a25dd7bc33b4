"""Method and path to endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workers.sandbox.runtime_api import error, init_error, ping, replies, response
from workers.sandbox.runtime_api import next as next_event
from workers.sandbox.runtime_api.api import RuntimeApi
from workers.sandbox.runtime_api.request import Request

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection

Endpoint = Callable[[RuntimeApi, "RuntimeConnection", Request], None]

_FIXED: dict[bytes, tuple[bytes, Endpoint]] = {
    b"/2018-06-01/runtime/invocation/next": (b"GET", next_event.handle),
    b"/2018-06-01/runtime/init/error": (b"POST", init_error.handle),
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


def cut_off(api: RuntimeApi, request: Request) -> None:
    """The connection ended in the middle of this request."""
    request_id, _, action = request.path.removeprefix(_INVOCATION).partition(b"/")
    if action == b"response":
        request.request_id = request_id.decode("ascii", "replace")
        response.truncated(api, request)
