"""The bare pipe's worker: a queue's events to awslambdaric processes through a minimal Runtime API, and back.

Started as `python -m bench.bare_pipe.worker BROKER_URL QUEUE PROCESSES COMMAND...`; prints `ready` once every
process has asked for its first event. Ends, with its processes, at SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from itertools import count
from typing import Any, cast

import httptools
import pika
import uvloop
from pika.channel import Channel

from bench.bare_pipe.amqp import connect, declare_queue, open_channel

ARN = "arn:aws:lambda:us-east-1:000000000000:function:bare"
TIMEOUT_MS = 60_000
BOOT_S = 30.0
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"


class Sandbox:
    """One awslambdaric process: its consumer with prefetch 1, its endpoint, the event it has in hand."""

    ids = count()

    def __init__(self, channel: Channel) -> None:
        self.asked = asyncio.Event()
        self._channel = channel
        self._pending: bytes | None = None
        self._waiting: asyncio.Transport | None = None
        self._delivery_tag = 0
        self._reply_to = ""
        self._properties: pika.BasicProperties

    def on_delivery(self, _channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._delivery_tag = method.delivery_tag
        self._reply_to = properties.reply_to
        self._properties = pika.BasicProperties(correlation_id=properties.correlation_id)
        self._pending = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Lambda-Runtime-Aws-Request-Id: %d\r\nLambda-Runtime-Deadline-Ms: %d\r\n"
            b"Lambda-Runtime-Invoked-Function-Arn: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (next(self.ids), int(time.time() * 1000) + TIMEOUT_MS, ARN.encode(), len(body), body)
        )
        self._hand_over()

    def on_next(self, transport: asyncio.Transport) -> None:
        self._waiting = transport
        self.asked.set()
        self._hand_over()

    def on_response(self, body: bytes) -> None:
        # Acknowledged first: the broker then knows this consumer to be idle before the caller can ask again.
        self._channel.basic_ack(self._delivery_tag)
        self._channel.basic_publish("", self._reply_to, body, self._properties)

    def _hand_over(self) -> None:
        # The acknowledgement may bring the next event before the runtime asks for it, so either may come first.
        if self._waiting is not None and self._pending is not None:
            self._waiting.write(self._pending)
            self._waiting = self._pending = None


class RuntimeApi(asyncio.Protocol):
    """GET .../next and POST .../response, on one connection of a runtime."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        if self._url.endswith(b"/next"):
            self._sandbox.on_next(self._transport)
        elif self._url.endswith(b"/response"):
            self._sandbox.on_response(self._body)
            self._transport.write(ACCEPTED)
        else:
            print(f"unexpected {self._url!r}: {self._body!r}", file=sys.stderr)
            self._transport.close()


async def open_endpoint(sandbox: Sandbox) -> str:
    """A Runtime API endpoint of this sandbox's own; `host:port`."""
    server = await asyncio.get_running_loop().create_server(lambda: RuntimeApi(sandbox), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    return f"{host}:{port}"


def start_runtime(command: list[str], endpoint: str) -> subprocess.Popen[bytes]:
    """The child shares this process's group, so that whoever ends the group ends it too."""
    return subprocess.Popen(command, env={**os.environ, "AWS_LAMBDA_RUNTIME_API": endpoint})


async def main(broker_url: str, queue: str, sandboxes: int, command: list[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connection = await connect(broker_url)
    runtimes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(sandboxes):
            channel = await open_channel(connection)
            await declare_queue(channel, queue)
            sandbox = Sandbox(channel)
            runtimes.append(start_runtime(command, await open_endpoint(sandbox)))
            await asyncio.wait_for(sandbox.asked.wait(), BOOT_S)
            channel.basic_qos(prefetch_count=1)
            channel.basic_consume(queue, sandbox.on_delivery)
        print("ready", flush=True)
        await stop.wait()
    finally:
        connection.close()
        for runtime in runtimes:
            runtime.kill()
            runtime.wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
