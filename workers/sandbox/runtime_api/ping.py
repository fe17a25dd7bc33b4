"""GET /ping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.sandbox.runtime_api import replies
from workers.sandbox.runtime_api.api import RuntimeApi
from workers.sandbox.runtime_api.request import Request

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection


def handle(api: RuntimeApi, connection: RuntimeConnection, request: Request) -> None:
    connection.send(replies.PONG)
