"""GET /2020-01-01/extension/event/next: "ready" or "done", and the next event as its answer. It never times out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.sandbox.extensions import faults
from workers.sandbox.extensions.extension import ExtensionState
from workers.sandbox.extensions.identity import identified
from workers.sandbox.runtime_api.request import Request

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.api import RuntimeApi
    from workers.sandbox.runtime_api.connection import RuntimeConnection


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    extension = identified(api.extensions, request)
    if isinstance(extension, bytes):
        connection.send(extension)
    elif not extension.may_become(ExtensionState.READY):
        connection.send(faults.refused_transition(extension, ExtensionState.READY))
    else:
        extension.wait(connection)
        api.extensions.changed()
