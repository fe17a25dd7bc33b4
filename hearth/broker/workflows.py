"""Express workflows and TestState on their way to an orchestrator.

    workflows.calls     awaited: StartSyncExecution, TestState; the reply goes to the caller's direct reply-to address
    workflows.express   accepted: StartExecution of an Express machine; durable, published with a confirm

Bodies are JSON. A call waits as long as its caller does; an accepted execution waits until somebody runs it, and runs
once more if who ran it died (Express workflows are at-least-once).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from pika import BasicProperties
from pika.channel import Channel as PikaChannel
from pika.exceptions import AMQPError

from hearth.broker.connection import Broker, Channel
from hearth.broker.topology import durable_arguments
from hearth.clock import Deadline, now_ms
from hearth.errors import ApiError, HearthError, InvocationTimedOut, Unavailable

log = logging.getLogger(__name__)

CALLS = "workflows.calls"
EXPRESS = "workflows.express"
REPLY_TO = "amq.rabbitmq.reply-to"
#: accepted executions that wait: beyond it StartExecution is refused
MAX_WAITING = 100_000
#: of both queues, how many an orchestrator works on at once
PREFETCH = 256
_PERSISTENT = 2
#: header of a call: epoch ms after which its caller has given up. (The property `expiration` would cost each call the
#: fast encoding of hearth.broker.wire.)
UNTIL = "until"
#: of a call that nobody takes
_CALL_TTL_MS = 600_000


async def _declare(channel: Channel) -> None:
    lives = {"x-message-ttl": _CALL_TTL_MS, "x-expires": 3_600_000}
    await channel.declare_queue(CALLS, durable_arguments(channel, lives))
    bounds = {"x-max-length": MAX_WAITING, "x-overflow": "reject-publish"}
    await channel.declare_queue(EXPRESS, durable_arguments(channel, bounds))


class WorkflowCalls:
    """The caller's side."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: Channel | None = None
        self._confirming: Channel | None = None
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 0

    async def start(self) -> None:
        self._broker.on_down.append(self._on_down)
        await self._broker.when_up(self._open)
        await self._broker.when_up(self._open_confirming)

    async def _open(self) -> Channel:
        channel = await self._broker.channel()
        await _declare(channel)
        await channel.consume(REPLY_TO, self._on_reply, no_ack=True)
        self._channel = channel
        return channel

    async def _open_confirming(self) -> Channel:
        channel = await self._broker.channel()
        await channel.confirm_publishes()
        self._confirming = channel
        return channel

    def _on_down(self) -> None:
        self._channel = self._confirming = None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Unavailable("The connection to the broker was lost before the answer came."))

    async def call(self, operation: str, body: dict[str, Any], *, deadline: Deadline) -> dict[str, Any]:
        """Run by whichever orchestrator is free. Raises Unavailable, InvocationTimedOut, ApiError."""
        channel = self._channel
        if channel is None or not channel.is_open:
            raise Unavailable("no connection to the broker")
        self._next_id += 1
        name = str(self._next_id)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[name] = future
        properties = BasicProperties(
            type=operation,
            correlation_id=name,
            reply_to=REPLY_TO,
            headers={UNTIL: deadline.epoch_ms()},
        )
        try:
            channel.raw.basic_publish("", CALLS, orjson.dumps(body), properties)
            async with deadline.scope():
                reply = await future
        except AMQPError as exc:
            raise Unavailable(f"the call could not be published: {exc!r}") from exc
        except TimeoutError as exc:
            raise InvocationTimedOut("No orchestrator answered in time.") from exc
        finally:
            del self._pending[name]
        if "error" in reply:
            error = reply["error"]
            raise ApiError(error["code"], error["status"], error["message"])
        answer: dict[str, Any] = reply["answer"]
        return answer

    async def accept(self, body: dict[str, Any], *, message_id: str) -> None:
        """An Express execution that nobody waits for; stored when this returns. Raises Unavailable."""
        channel = self._confirming
        if channel is None or not channel.is_open:
            raise Unavailable("no connection to the broker")
        properties = BasicProperties(message_id=message_id, delivery_mode=_PERSISTENT)
        await channel.publish_confirmed("", EXPRESS, orjson.dumps(body), properties)

    def _on_reply(self, _channel: PikaChannel, _method: Any, properties: BasicProperties, body: bytes) -> None:
        future = self._pending.get(properties.correlation_id or "")
        if future is not None and not future.done():
            future.set_result(orjson.loads(body))


#: (operation, body) -> answer; raises HearthError
Answering = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
#: runs an accepted execution to its end
Running = Callable[[dict[str, Any]], Awaitable[None]]


class WorkflowServer:
    """The orchestrator's side. Its tasks belong to the group that it is given."""

    def __init__(self, broker: Broker, tasks: asyncio.TaskGroup, answer: Answering, run: Running) -> None:
        self._broker = broker
        self._tasks = tasks
        self._answer = answer
        self._run = run
        self._tags: list[tuple[Channel, str]] = []
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._broker.when_up(self._open)

    async def stop(self) -> None:
        """Take nothing more, finish what runs."""
        for channel, tag in self._tags:
            if channel.is_open:
                try:
                    await channel.cancel(tag)
                except HearthError as exc:
                    log.info("consumer not cancelled", extra={"action": "not_cancelled", "error": str(exc)})
        if self._busy:
            await asyncio.wait(self._busy)

    async def _open(self) -> Channel:
        channel = await self._broker.channel(prefetch=PREFETCH)
        await _declare(channel)
        calls = await channel.consume(CALLS, self._on_call)
        express = await channel.consume(EXPRESS, self._on_express)
        self._tags = [(channel, calls), (channel, express)]
        return channel

    def _on_call(self, channel: PikaChannel, method: Any, properties: BasicProperties, body: bytes) -> None:
        self._begin(self._call(channel, method, properties, body))

    def _on_express(self, channel: PikaChannel, method: Any, _properties: BasicProperties, body: bytes) -> None:
        self._begin(self._express(channel, method, body))

    def _begin(self, work: Any) -> None:
        task = self._tasks.create_task(work)
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _call(self, channel: PikaChannel, method: Any, properties: BasicProperties, body: bytes) -> None:
        if (properties.headers or {}).get(UNTIL, 0) < now_ms():
            if channel.is_open:
                channel.basic_ack(method.delivery_tag)
            return
        if method.redelivered:  # who ran it died: StartSyncExecution is at-most-once
            reply: dict[str, Any] = {"error": {"code": "InternalServerError", "status": 500, "message": "It was lost."}}
        else:
            try:
                reply = {"answer": await self._answer(properties.type or "", orjson.loads(body))}
            except HearthError as exc:
                reply = {"error": {"code": exc.code, "status": exc.status, "message": exc.message}}
            except Exception:
                log.exception("call failed", extra={"action": "call_failed", "operation": properties.type})
                reply = {"error": {"code": "InternalServerError", "status": 500, "message": "Internal error."}}
        if channel.is_open:
            channel.basic_ack(method.delivery_tag)
            reply_to = properties.reply_to or ""
            answered = BasicProperties(correlation_id=properties.correlation_id)
            channel.basic_publish("", reply_to, orjson.dumps(reply), answered)

    async def _express(self, channel: PikaChannel, method: Any, body: bytes) -> None:
        try:
            await self._run(orjson.loads(body))
        except Exception:  # the next one must run
            log.exception("express execution failed", extra={"action": "express_failed"})
        if channel.is_open:
            channel.basic_ack(method.delivery_tag)
