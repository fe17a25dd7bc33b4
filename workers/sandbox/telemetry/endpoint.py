"""PUT /2022-07-01/telemetry and PUT /2020-08-15/logs: subscribe, during Init only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from workers.sandbox.extensions.identity import identified
from workers.sandbox.runtime_api.replies import extra, fault
from workers.sandbox.runtime_api.request import Request
from workers.sandbox.telemetry.subscription import BadSubscription, parse

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.api import RuntimeApi
    from workers.sandbox.runtime_api.connection import RuntimeConnection

_OK = extra("200 OK", orjson.dumps("OK"), {})


def handle_telemetry(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    _handle(api, connection, request, legacy=False)


def handle_logs(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    _handle(api, connection, request, legacy=True)


def _handle(api: RuntimeApi, connection: RuntimeConnection, request: Request, *, legacy: bool) -> None:
    which = "Logs" if legacy else "Telemetry"
    extension = identified(api.extensions, request)
    if isinstance(extension, bytes):
        connection.send(extension)
        return
    if api.telemetry is None or not api.telemetry.open:
        message = f"{which} API subscription is closed already"
        connection.send(fault("403 Forbidden", message, f"{which}.SubscriptionClosed"))
        return
    try:
        subscription = parse(request.body, legacy=legacy)
    except BadSubscription as exc:
        connection.send(fault("400 Bad Request", str(exc), "ValidationError"))
        return
    if api.telemetry.subscribe(extension.name, subscription):
        connection.send(_OK)
    else:
        message = "An extension can't subscribe to both the Telemetry API and the Logs API"
        connection.send(fault("400 Bad Request", message, "ValidationError"))
