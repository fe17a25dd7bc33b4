"""GET /hearth/init: the sandbox's init process, once, before anything else runs there. It keeps the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.sandbox.runtime_api import replies
from workers.sandbox.runtime_api.api import RuntimeApi
from workers.sandbox.runtime_api.request import Request

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    link, api.init_process = api.init_process, None
    if link is None:
        connection.send(replies.NOT_FOUND)
    else:
        connection.hand_over(link)
