"""POST /2020-01-01/extension/register."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from workers.sandbox.extensions import faults
from workers.sandbox.extensions.extension import Extension, ExtensionState
from workers.sandbox.extensions.registry import INVOKE, LIMIT, SHUTDOWN, Extensions
from workers.sandbox.runtime_api.replies import extra
from workers.sandbox.runtime_api.request import ACCEPT_FEATURE, EXTENSION_NAME, Request

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.api import RuntimeApi
    from workers.sandbox.runtime_api.connection import RuntimeConnection


class _Refused(Exception):
    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self.reply = reply


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    try:
        extension = _register(api.extensions, request)
    except _Refused as refused:
        connection.send(refused.reply)
        return
    features = {word.strip() for word in request.text(ACCEPT_FEATURE).split(",")}
    body = api.function_facts(account="accountId" in features)
    connection.send(extra("200 OK", orjson.dumps(body), {"Lambda-Extension-Identifier": extension.id}))


def _register(extensions: Extensions, request: Request) -> Extension:
    name = request.text(EXTENSION_NAME).strip()
    if not name:
        raise _Refused(faults.EMPTY_NAME)
    events = _events(request.body)
    extension = extensions.all.get(name)
    if extension is not None and extension.external:
        if not extension.may_become(ExtensionState.REGISTERED):
            raise _Refused(faults.refused_transition(extension, ExtensionState.REGISTERED))
    else:
        if SHUTDOWN in events:
            raise _Refused(faults.NO_INTERNAL_SHUTDOWN)
        if extensions.closed:
            raise _Refused(faults.CLOSED)
        if extension is not None:
            raise _Refused(faults.NAME_TAKEN)
        extension = Extension(name, external=False)
    if sum(1 for one in extensions.all.values() if one.registered) >= LIMIT:
        raise _Refused(faults.TOO_MANY)
    extensions.register(extension, events)
    return extension


def _events(body: bytes) -> frozenset[str]:
    try:
        document: Any = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as exc:
        raise _Refused(faults.bad_format(str(exc))) from exc
    if not isinstance(document, dict):
        raise _Refused(faults.bad_format("the body is not a JSON object"))
    if "configurationKeys" in document:
        raise _Refused(faults.KEYS_DEPRECATED)
    events = document.get("events") or []
    if not isinstance(events, list) or not all(isinstance(one, str) for one in events):
        raise _Refused(faults.bad_format("events is not a list of strings"))
    for name in events:
        if name not in (INVOKE, SHUTDOWN):
            raise _Refused(faults.unknown_event(name))
    return frozenset(events)
