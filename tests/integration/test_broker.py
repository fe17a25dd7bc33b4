"""The routing that everything rests on, against a real RabbitMQ: an idle consumer gets the request, else placement."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from hearth.broker import envelope, topology
from hearth.broker.connection import Broker
from hearth.broker.invoker import BrokerInvoker
from hearth.broker.unplaced import UnplacedAnswers
from hearth.clock import Deadline, now_ms
from hearth.errors import InvocationTimedOut, Unavailable
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from tests.conftest import missing
from tests.support import places
from tests.support.servers import PrivateServers
from workers.delivery import Delivery, Lane


def an_invocation(family: str, key: str = "", payload: bytes = b"{}") -> Invocation:
    return Invocation(
        request_id=str(uuid.uuid4()),
        version_key=key or uuid.uuid4().hex[:12],
        invoked_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        family=family,
        payload=payload,
        gives_up_at_ms=now_ms() + 60_000,
        trace_id="Root=1-0-0",
        client_context='{"custom":{"ä":1}}',
        tail=True,
    )


@pytest.fixture(scope="module")
def alone() -> Iterator[PrivateServers]:
    """Servers without a platform on them: its gateways would answer what these tests wait for."""
    if reason := PrivateServers.unavailable():
        missing(reason)
    with places.data_folder() as folder, PrivateServers(folder) as running:
        yield running


@pytest.fixture
async def broker(alone: PrivateServers) -> AsyncIterator[Broker]:
    broker = await Broker.connect(alone.broker_url, name="test")
    yield broker
    await broker.close()


@pytest.fixture
async def invoker(broker: Broker) -> BrokerInvoker:
    invoker = BrokerInvoker(broker)
    await invoker.start()
    return invoker


class Server:
    """A consumer that answers like a sandbox, with a given body and pace."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.seen: list[Delivery] = []
        self.came = asyncio.Event()

    async def consume(self, queue_of: Any, *, placed: bool, prefetch: int = 1, priority: int = 0) -> Lane:
        lane = Lane(await self.broker.channel(prefetch=prefetch))
        queue = await queue_of(lane.channel)

        def on_delivery(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
            lane.outstanding += 1
            self.seen.append(
                Delivery(
                    lane,
                    method.delivery_tag,
                    envelope.read_invocation(properties, body),
                    properties.reply_to,
                    properties.correlation_id,
                    method.redelivered,
                    placed,
                )
            )
            self.came.set()

        await lane.channel.consume(queue, on_delivery, arguments={"x-priority": priority})
        return lane

    async def next(self) -> Delivery:
        async with asyncio.timeout(30):
            while not self.seen:
                self.came.clear()
                await self.came.wait()
            return self.seen.pop(0)


def ok(payload: bytes = b"1", epoch: int = 0) -> InvocationResult:
    return InvocationResult(Outcome.OK, payload, executed_version="$LATEST", log_tail=b"log", epoch=epoch, billed_ms=2)


async def test_request_without_a_queue_becomes_a_placement_and_is_answered(
    broker: Broker, invoker: BrokerInvoker
) -> None:
    family = uuid.uuid4().hex
    worker = Server(broker)
    await worker.consume(lambda channel: topology.declare_placement(channel, family, 60_000), placed=True)
    invocation = an_invocation(family)
    call = asyncio.create_task(invoker.invoke(invocation, deadline=Deadline.after(60)))
    delivery = await worker.next()
    assert delivery.invocation == invocation
    delivery.answer(ok(b'"\xc3\xa4"'))
    assert await call == ok(b'"\xc3\xa4"')


async def test_idle_consumer_gets_the_request_and_a_busy_one_never_does(broker: Broker, invoker: BrokerInvoker) -> None:
    family, key = uuid.uuid4().hex, uuid.uuid4().hex[:12]
    warm, cold = Server(broker), Server(broker)
    await cold.consume(lambda channel: topology.declare_placement(channel, family, 60_000), placed=True, prefetch=10)
    await warm.consume(lambda channel: topology.declare_invoke(channel, key, 0), placed=False)
    calls = [
        asyncio.create_task(invoker.invoke(an_invocation(family, key), deadline=Deadline.after(60))) for _ in range(3)
    ]
    first = await warm.next()
    placed = [await cold.next(), await cold.next()]
    first.answer(ok(b"warm"))
    for delivery in placed:
        delivery.answer(ok(b"cold"))
    assert sorted([result.payload for result in await asyncio.gather(*calls)]) == [b"cold", b"cold", b"warm"]


async def test_closed_loop_never_misses_its_warm_consumer(broker: Broker, invoker: BrokerInvoker) -> None:
    family, key = uuid.uuid4().hex, uuid.uuid4().hex[:12]
    warm, cold = Server(broker), Server(broker)
    await cold.consume(lambda channel: topology.declare_placement(channel, family, 60_000), placed=True, prefetch=10)
    await warm.consume(lambda channel: topology.declare_invoke(channel, key, 0), placed=False)
    for _ in range(300):
        call = asyncio.create_task(invoker.invoke(an_invocation(family, key), deadline=Deadline.after(60)))
        (await warm.next()).answer(ok())
        await call
    assert cold.seen == []


async def test_caller_learns_a_raised_epoch_from_the_reply(broker: Broker, invoker: BrokerInvoker) -> None:
    family, key = uuid.uuid4().hex, uuid.uuid4().hex[:12]
    old, new = Server(broker), Server(broker)
    await old.consume(lambda channel: topology.declare_invoke(channel, key, 0), placed=False)
    await new.consume(lambda channel: topology.declare_invoke(channel, key, 3), placed=False)
    first = asyncio.create_task(invoker.invoke(an_invocation(family, key), deadline=Deadline.after(60)))
    (await old.next()).answer(ok(epoch=3))
    await first
    second = asyncio.create_task(invoker.invoke(an_invocation(family, key), deadline=Deadline.after(60)))
    (await new.next()).answer(ok(epoch=3))
    assert (await second).epoch == 3


async def test_large_answer_arrives_whole(broker: Broker, invoker: BrokerInvoker) -> None:
    family = uuid.uuid4().hex
    worker = Server(broker)
    await worker.consume(lambda channel: topology.declare_placement(channel, family, 60_000), placed=True)
    body = bytes(range(256)) * 23_437
    for size in (0, envelope.PART_BYTES, envelope.PART_BYTES + 1, len(body)):
        call = asyncio.create_task(invoker.invoke(an_invocation(family), deadline=Deadline.after(60)))
        (await worker.next()).answer(ok(body[:size]))
        assert (await call).payload == body[:size]


async def test_unanswered_request_ends_at_its_deadline(broker: Broker, invoker: BrokerInvoker) -> None:
    family = uuid.uuid4().hex
    await Server(broker).consume(lambda channel: topology.declare_placement(channel, family, 60_000), placed=True)
    with pytest.raises(InvocationTimedOut):
        await invoker.invoke(an_invocation(family), deadline=Deadline.after(0.2))


@pytest.mark.parametrize(("workers", "outcome"), [(1, Outcome.THROTTLED), (0, Outcome.UNAVAILABLE)])
async def test_request_that_waited_too_long_for_room_is_answered(
    broker: Broker, invoker: BrokerInvoker, workers: int, outcome: Outcome
) -> None:
    family = uuid.uuid4().hex

    async def live() -> dict[str, dict[str, str]]:
        return {f"worker-{index}": {"families": f"python3.11,{family}"} for index in range(workers)}

    answers = UnplacedAnswers(broker, live)
    await answers.start()
    channel = await broker.channel()
    await topology.declare_placement(channel, family, 100)
    result = await invoker.invoke(an_invocation(family), deadline=Deadline.after(60))
    assert result.outcome is outcome
    await answers.close()


async def test_request_for_a_runtime_that_no_worker_offers_says_so(broker: Broker, invoker: BrokerInvoker) -> None:
    async def live() -> dict[str, dict[str, str]]:
        return {"worker": {"families": "python3.11"}}

    answers = UnplacedAnswers(broker, live)
    await answers.start()
    result = await invoker.invoke(an_invocation("cobol85"), deadline=Deadline.after(60))
    assert result.outcome is Outcome.UNAVAILABLE
    assert "cobol85" in result.detail
    await answers.close()


async def test_confirmed_publish_that_no_queue_takes_is_an_error(broker: Broker) -> None:
    channel = await broker.channel()
    await channel.confirm_publishes()
    properties = envelope.invocation_properties(an_invocation("x"), correlation_id=None, reply_to=None)
    with pytest.raises(Unavailable, match="no queue took"):
        await channel.publish_confirmed("", f"nowhere-{uuid.uuid4().hex}", b"", properties)
