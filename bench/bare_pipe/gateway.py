"""The bare pipe's HTTP side: a plain ASGI app under uvicorn. The path names the queue, the body is the event.

Started as `python -m bench.bare_pipe.gateway BROKER_URL PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any

import pika
import uvicorn
from pika.channel import Channel

from bench.bare_pipe.amqp import connect, open_channel

REPLY_TO = "amq.rabbitmq.reply-to"
Message = MutableMapping[str, Any]


class Pipe:
    """Publishes events and hands replies to whoever waits, by correlation id."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._ids = count()
        channel.basic_consume(REPLY_TO, self._on_reply, auto_ack=True)

    def call(self, queue: str, event: bytes) -> asyncio.Future[bytes]:
        request_id = str(next(self._ids))
        self._waiting[request_id] = reply = self._loop.create_future()
        properties = pika.BasicProperties(reply_to=REPLY_TO, correlation_id=request_id)
        self._channel.basic_publish("", queue, event, properties)
        return reply

    def _on_reply(self, _channel: Any, _method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._waiting.pop(properties.correlation_id).set_result(body)


class App:
    """The ASGI application; `lifespan` opens the one connection."""

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self._pipe: Pipe

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        message = await receive()
        event = message["body"]
        while message.get("more_body"):
            message = await receive()
            event += message["body"]
        reply = await self._pipe.call(scope["path"][1:], event)
        length = str(len(reply)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": reply})

    async def _lifespan(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        connection = await connect(self._broker_url)
        self._pipe = Pipe(await open_channel(connection))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        connection.close()
        await send({"type": "lifespan.shutdown.complete"})


if __name__ == "__main__":
    uvicorn.run(
        App(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
    )
