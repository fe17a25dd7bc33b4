"""GET /runtime/invocation/next: "ready", and the next event as its answer. It never times out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.sandbox.runtime_api import replies
from workers.sandbox.runtime_api.api import RuntimeApi
from workers.sandbox.runtime_api.request import Request
from workers.sandbox.runtime_api.states import RuntimeState

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection


#: it has said that it fails, or is in the middle of an answer
_REFUSED = (RuntimeState.INIT_ERROR, RuntimeState.RESTORE_ERROR, RuntimeState.INVOCATION_RESPONSE)


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    api.conclude()
    if api.state is RuntimeState.RUNNING:
        api.repeat(connection)
    elif api.state in _REFUSED:
        connection.send(replies.refused_transition(api.state, RuntimeState.READY))
    else:
        api.wait(connection)
