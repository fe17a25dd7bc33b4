"""Messages of queues reach their function at least once, whatever dies; groups and RabbitMQ's queues in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika

from tests.faults.conftest import Start
from tests.faults.test_streams_survive import Told, wait_for
from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack
from tests.support.waiting import until

SQS = "arn:aws:sqs:us-east-1:000000000000:"
MQ = "arn:aws:mq:us-east-1:000000000000:broker:own:b-1"
GROUPS = 4
#: seconds until a message that a dead poller had comes again; longer than the function's timeout
AGAIN_S = 3
#: writes down each batch as a line, "key:number" by message, before it does anything else
WRITE_DOWN = """
import base64, json, os, time
def handler(event, context):
    records = event.get("Records") or [one for queue in event["rmqMessagesByQueue"].values() for one in queue]
    told = [one["body"] if "body" in one else base64.b64decode(one["data"]).decode() for one in records]
    out = os.open(os.environ["OUT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(out, (json.dumps([told, {}]) + "\\n").encode())
    os.close(out)
    time.sleep(0.2)
"""


class Filled:
    """A queue whose messages lie in it before anybody reads. keys: key -> its last number; "key:number" each."""

    def __init__(self, keys: dict[str, int]) -> None:
        self.keys = keys

    def messages(self) -> Iterator[tuple[str, str]]:
        """(key, message); the keys take turns."""
        for number in range(1, max(self.keys.values()) + 1):
            for key, last in self.keys.items():
                if number <= last:
                    yield key, f"{key}:{number}"

    def done(self, told: Told) -> int:
        return sum(told.high[key] for key in self.keys)

    @property
    def total(self) -> int:
        return sum(self.keys.values())


def fill_sqs(others: CompanionServer, filled: Filled, name: str) -> str:
    """Its URL."""
    fifo = name.endswith(".fifo")
    attributes = {"VisibilityTimeout": str(AGAIN_S)} | ({"FifoQueue": "true"} if fifo else {})
    sqs = others.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    entries = [
        {"Id": message.replace(":", "-"), "MessageBody": message}
        | ({"MessageGroupId": key, "MessageDeduplicationId": message} if fifo else {})
        for key, message in filled.messages()
    ]
    for at in range(0, len(entries), 10):
        sqs.send_message_batch(QueueUrl=url, Entries=entries[at : at + 10])
    return str(url)


def fill_rabbitmq(stack: PlatformStack, filled: Filled, name: str) -> None:
    with pika.BlockingConnection(on_users_host(stack)) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True)
        channel.confirm_delivery()
        for _, message in filled.messages():
            channel.basic_publish("", name, message.encode(), pika.BasicProperties(delivery_mode=2))


def on_users_host(stack: PlatformStack) -> pika.URLParameters:
    parameters = pika.URLParameters(stack.servers.broker_url)
    parameters.virtual_host = "/"
    return parameters


def left(stack: PlatformStack, others: CompanionServer, urls: list[str], rabbit: str) -> int:
    """Messages that are in the queues, on their way or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = [others.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] for url in urls]
    with pika.BlockingConnection(on_users_host(stack)) as connection:
        waiting = connection.channel().queue_declare(rabbit, passive=True).method.message_count
    return int(waiting) + sum(int(one[name]) for one in told for name in names)


def test_messages_of_queues_come_at_least_once_and_in_order_while_pollers_and_the_broker_die(
    start: Start, tmp_path: Path
) -> None:
    """One of two pollers is killed whenever every queue has got on by a fifth: three times, first with the broker."""
    stack = start(isolation="process", mapping_lease_seconds=2, mq_brokers="*=own")
    stack.start("poller", "second")
    told = Told(tmp_path / "told")
    variables = {"OUT": str(tmp_path / "told")}
    function = stack.deploy(None, WRITE_DOWN, Timeout=AGAIN_S - 1, Environment={"Variables": variables})
    plain = Filled({f"s{number}": 1 for number in range(90)})
    groups = Filled({f"g{number}": 5 for number in range(GROUPS)})
    rabbit = Filled({"r": 200})
    queues = (plain, groups, rabbit)
    with CompanionServer(stack.companion_port) as others:
        urls = [fill_sqs(others, plain, "plain"), fill_sqs(others, groups, "groups.fifo")]
        fill_rabbitmq(stack, rabbit, "orders")
        lambda_ = stack.client("lambda")
        given: list[dict[str, Any]] = [
            {"EventSourceArn": SQS + "plain", "BatchSize": 5, "ScalingConfig": {"MaximumConcurrency": 2}},
            # one at a time: moto gives a group's messages that come again together out of order
            {"EventSourceArn": SQS + "groups.fifo", "BatchSize": 1},
            {
                "EventSourceArn": MQ,
                "BatchSize": 10,
                "Queues": ["orders"],
                "SourceAccessConfigurations": [{"Type": "VIRTUAL_HOST", "URI": "/"}],
            },
        ]
        until(lambda: stack.health()[1].get("pollers") == 2)
        for one in given:
            lambda_.create_event_source_mapping(FunctionName=function, **one)
        done = [0] * len(queues)

        def got_on() -> bool:
            """Each queue has, since the last death: so what that one had taken has come again."""
            told.read_on()
            return all(
                queue.done(told) >= min(before + queue.total // 5, queue.total)
                for queue, before in zip(queues, done, strict=True)
            )

        for number, victim in enumerate(("poller", "second", "poller")):
            wait_for(got_on, stack, told)
            done = [queue.done(told) for queue in queues]
            print(f"{victim} dies after {done} of {[queue.total for queue in queues]}")
            stack.kill(victim)
            if number == 0:
                os.kill(stack.servers.pid("broker"), signal.SIGKILL)
            stack.revive("poller", "" if victim == "poller" else victim)
        wait_for(lambda: told.read_on() and all(queue.done(told) == queue.total for queue in queues), stack, told)
        wait_for(lambda: told.read_on() and left(stack, others, urls, "orders") == 0, stack, told)
    print(f"{told.batches} batches, {told.repeats} of them with repeats")
