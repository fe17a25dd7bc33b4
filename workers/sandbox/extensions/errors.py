"""POST /2020-01-01/extension/init/error and exit/error: the extension is about to exit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.sandbox.extensions import faults
from workers.sandbox.extensions.extension import ExtensionState
from workers.sandbox.extensions.identity import identified
from workers.sandbox.runtime_api import replies
from workers.sandbox.runtime_api.request import EXTENSION_ERROR_TYPE, Request

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.api import RuntimeApi
    from workers.sandbox.runtime_api.connection import RuntimeConnection


def handle_init(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    _handle(api, connection, request, ExtensionState.INIT_ERROR, "Extension.InitError")


def handle_exit(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    _handle(api, connection, request, ExtensionState.EXIT_ERROR, "Extension.ExitError")


def _handle(
    api: RuntimeApi, connection: RuntimeConnection, request: Request, wanted: ExtensionState, kind: str
) -> None:
    extension = identified(api.extensions, request, unknown=faults.UNKNOWN_TO_ERRORS)
    error_type = request.text(EXTENSION_ERROR_TYPE)
    if isinstance(extension, bytes):
        connection.send(extension)
    elif not error_type:
        connection.send(faults.MISSING_ERROR_TYPE)
    elif not extension.may_become(wanted):
        connection.send(faults.refused_transition(extension, wanted))
    else:
        extension.state, extension.error_type = wanted, error_type
        connection.send(replies.ACCEPTED)
        api.extension_failed(kind, error_type)
