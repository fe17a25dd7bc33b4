"""Queues as event sources: SQS on the companion, RabbitMQ on the platform's own broker, through real mappings."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pika
import pytest
from botocore.exceptions import ClientError

from tests.conftest import NAMED_BROKER
from tests.integration.test_events import runs
from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack
from tests.support.waiting import until

OWN_BROKER = "arn:aws:mq:us-east-1:000000000000:broker:mine:b-2"
HOST = [{"Type": "VIRTUAL_HOST", "URI": "/"}]
#: prints each event with its start and end; a message `slow` takes a while, `bad` fails its batch, `reported` is
#: reported as failed
FUNCTION = """
import base64, json, time
def text_of(record):
    return record["body"] if "body" in record else base64.b64decode(record["data"]).decode()
def handler(event, context):
    began = time.time()
    records = event.get("Records") or [one for queue in event["rmqMessagesByQueue"].values() for one in queue]
    texts = [text_of(record) for record in records]
    if any(text.startswith("slow") for text in texts):
        time.sleep(0.3)
    print(json.dumps({"ran": texts, "event": event if len(texts) < 3 else None, "span": [began, time.time()]}))
    if any(text.startswith("bad") for text in texts):
        raise ValueError("told to")
    failed = [record["messageId"] for record, text in zip(records, texts) if text.startswith("reported")]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
"""
#: seconds until a message whose batch failed comes again; longer than a run takes on a busy machine
AGAIN_S = "3"


class Queue:
    """An SQS queue whose failed messages go aside at the third time. again_s: until they come again."""

    def __init__(self, companion: CompanionServer, *, fifo: bool = False, again_s: str = "30") -> None:
        self.sqs = companion.client("sqs")
        name = f"q-{uuid.uuid4().hex[:8]}" + ".fifo" * fifo
        kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
        self.aside = self.sqs.create_queue(QueueName=f"aside-{name}", Attributes=kind)["QueueUrl"]
        redrive = {"deadLetterTargetArn": arn_of(f"aside-{name}"), "maxReceiveCount": "2"}
        attributes = {"VisibilityTimeout": again_s, "RedrivePolicy": json.dumps(redrive), **kind}
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = arn_of(name)

    def send(self, *bodies: str, **more: Any) -> None:
        for at in range(0, len(bodies), 10):
            entries = [
                {"Id": str(number), "MessageBody": body, **more} for number, body in enumerate(bodies[at : at + 10])
            ]
            self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    def left(self) -> int:
        """Messages in it, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def put_aside(self) -> list[str]:
        answer = self.sqs.receive_message(QueueUrl=self.aside, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return sorted(one["Body"] for one in answer.get("Messages", ()))


def arn_of(queue: str) -> str:
    return f"arn:aws:sqs:us-east-1:000000000000:{queue}"


@contextlib.contextmanager
def mapped(stack: PlatformStack, source: str, name: str, **given: Any) -> Iterator[str]:
    """A mapping that is Enabled; its uuid."""
    lambda_ = stack.client("lambda")
    made = lambda_.create_event_source_mapping(EventSourceArn=source, FunctionName=name, **given)["UUID"]
    try:
        settled(stack, made, "Enabled" if given.get("Enabled", True) else "Disabled")
        yield made
    finally:
        lambda_.delete_event_source_mapping(UUID=made)


def settled(stack: PlatformStack, made: str, state: str) -> None:
    until(lambda: stack.client("lambda").get_event_source_mapping(UUID=made)["State"] == state)


@pytest.fixture(scope="module")
def function(stack: PlatformStack) -> str:
    return stack.deploy(None, FUNCTION, Timeout=int(AGAIN_S))


def ran(stack: PlatformStack, name: str, marks: str) -> list[dict[str, Any]]:
    """Runs with messages that have this mark, in order of time."""
    found = [one for one in runs(stack, name) if any(marks in text for text in one["ran"])]
    return sorted(found, key=lambda one: one["span"][0])


def texts(stack: PlatformStack, name: str, marks: str) -> list[str]:
    """The messages of these runs, in order of time."""
    return [text for run in ran(stack, name, marks) for text in run["ran"]]


def twice(wanted: list[str], seen: list[str]) -> bool:
    return all(seen.count(one) == 2 for one in wanted)


def mark() -> str:
    return uuid.uuid4().hex[:8]


# --- SQS ----------------------------------------------------------------------------------------------------------


def test_message_reaches_the_function_in_aws_form_and_is_deleted(
    stack: PlatformStack, companion: CompanionServer, function: str
) -> None:
    queue, marks = Queue(companion), mark()
    with mapped(stack, queue.arn, function):
        queue.send(marks, MessageAttributes={"Title": {"DataType": "String", "StringValue": "a"}})
        (run,) = until(lambda: ran(stack, function, marks))
        until(lambda: queue.left() == 0)
    (record,) = run["event"]["Records"]
    attributes = record.pop("attributes")
    assert attributes["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(attributes)
    assert record.pop("md5OfBody")
    assert record.pop("md5OfMessageAttributes")
    assert record.pop("messageId")
    assert record.pop("receiptHandle")
    assert record == {
        "body": marks,
        "messageAttributes": {
            "Title": {"stringValue": "a", "dataType": "String", "stringListValues": [], "binaryListValues": []}
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": "us-east-1",
    }


def test_reported_messages_and_whole_batches_come_again_and_go_aside(
    stack: PlatformStack, companion: CompanionServer, function: str
) -> None:
    some, whole = Queue(companion, again_s=AGAIN_S), Queue(companion, again_s=AGAIN_S)
    marks = mark()
    some.send(f"good {marks}", f"reported {marks}")
    whole.send(f"bad {marks}", f"beside {marks}")
    with (
        mapped(stack, some.arn, function, FunctionResponseTypes=["ReportBatchItemFailures"]),
        mapped(stack, whole.arn, function),
    ):
        until(lambda: some.put_aside() == [f"reported {marks}"])
        until(lambda: whole.put_aside() == [f"bad {marks}", f"beside {marks}"])
        assert (some.left(), whole.left()) == (0, 0)
    until(lambda: twice([f"{text} {marks}" for text in ("reported", "bad", "beside")], texts(stack, function, marks)))
    assert f"good {marks}" in texts(stack, function, marks)


def test_filtered_messages_are_deleted_and_the_others_gathered_within_the_window(
    stack: PlatformStack, companion: CompanionServer, function: str
) -> None:
    queue, marks = Queue(companion), mark()
    queue.send(*(json.dumps({"number": number, "mark": marks}) for number in range(30)))
    filters = {"Filters": [{"Pattern": json.dumps({"body": {"number": [{"numeric": [">=", 15]}]}})}]}
    given = {"FilterCriteria": filters, "BatchSize": 15, "MaximumBatchingWindowInSeconds": 20}
    with mapped(stack, queue.arn, function, **given):
        (run, *more) = until(lambda: ran(stack, function, marks))
        until(lambda: queue.left() == 0)
    assert not more
    assert sorted(json.loads(text)["number"] for text in run["ran"]) == list(range(15, 30))


def test_fifo_groups_keep_their_order_and_a_failing_group_holds_up_no_other(
    stack: PlatformStack, companion: CompanionServer, function: str
) -> None:
    queue, marks = Queue(companion, fifo=True, again_s=AGAIN_S), mark()
    queue.send(*(f"a{number} {marks}" for number in range(6)), MessageGroupId="a")
    queue.send(f"bad {marks}", MessageGroupId="b")
    queue.send(f"after {marks}", MessageGroupId="b")
    with mapped(stack, queue.arn, function, BatchSize=1):
        until(lambda: queue.left() == 0)
    # logs come a moment later than deletions
    until(lambda: len(set(texts(stack, function, marks))) == 8)
    seen = [text.split()[0] for text in texts(stack, function, marks)]
    group = [f"a{number}" for number in range(6)]
    assert [text for text in dict.fromkeys(seen) if text in group] == group
    assert [text for text in seen if text in ("bad", "after")] == ["bad", "bad", "after"]


def test_no_more_batches_run_at_once_than_the_mapping_says(
    stack: PlatformStack, companion: CompanionServer, function: str
) -> None:
    queue, marks = Queue(companion), mark()
    queue.send(*(f"slow {number} {marks}" for number in range(8)))
    with mapped(stack, queue.arn, function, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2}):
        until(lambda: queue.left() == 0)
    until(lambda: len(set(texts(stack, function, marks))) == 8)
    spans = [run["span"] for run in ran(stack, function, marks)]
    at_once = [sum(start <= moment < end for start, end in spans) for moment, _ in spans]
    assert max(at_once) <= 2


def test_disabled_mapping_leaves_messages_until_it_is_enabled(
    stack: PlatformStack, companion: CompanionServer, function: str
) -> None:
    queue, marks = Queue(companion), mark()
    with mapped(stack, queue.arn, function) as made:
        stack.client("lambda").update_event_source_mapping(UUID=made, Enabled=False)
        settled(stack, made, "Disabled")
        queue.send(marks)
        assert ran(stack, function, marks) == []
        stack.client("lambda").update_event_source_mapping(UUID=made, Enabled=True)
        until(lambda: ran(stack, function, marks))
        until(lambda: queue.left() == 0)


def test_stream_that_another_server_does_not_have_is_not_found(
    stack: PlatformStack, companion: CompanionServer, function: str
) -> None:
    nowhere = "arn:aws:dynamodb:us-east-1:000000000000:table/nowhere/stream/2026-01-01T00:00:00.000"
    with pytest.raises(ClientError, match=f"Stream not found: {nowhere}"):
        stack.client("lambda").create_event_source_mapping(
            EventSourceArn=nowhere, FunctionName=function, StartingPosition="LATEST"
        )


# --- RabbitMQ -----------------------------------------------------------------------------------------------------


@pytest.fixture
def rabbit(stack: PlatformStack) -> Iterator[tuple[pika.adapters.blocking_connection.BlockingChannel, str]]:
    """A channel on the virtual host for users' queues, and a queue there."""
    parameters = pika.URLParameters(stack.servers.broker_url)
    parameters.virtual_host = "/"
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        queue = f"orders-{mark()}"
        channel.queue_declare(queue)
        yield channel, queue
        channel.queue_delete(queue)


def access(stack: PlatformStack, companion: CompanionServer) -> list[dict[str, str]]:
    """SourceAccessConfigurations with a secret that holds the broker's user."""
    url = urlsplit(stack.servers.broker_url)
    secret = json.dumps({"username": url.username, "password": unquote(url.password or "")})
    made = companion.client("secretsmanager").create_secret(Name=f"broker-{mark()}", SecretString=secret)
    return [{"Type": "BASIC_AUTH", "URI": made["ARN"]}, {"Type": "VIRTUAL_HOST", "URI": "/"}]


def test_rabbitmq_messages_come_in_order_and_in_amazon_mqs_form(
    stack: PlatformStack, companion: CompanionServer, function: str, rabbit: Any
) -> None:
    (channel, queue), marks = rabbit, mark()
    properties = pika.BasicProperties(content_type="text/plain", headers={"h": "va", "n": 10}, priority=3)
    channel.basic_publish("", queue, f"0 {marks}".encode(), properties)
    for number in range(1, 8):
        channel.basic_publish("", queue, f"{number} {marks}".encode())
    configurations = access(stack, companion)
    given = {"Queues": [queue], "BatchSize": 2, "SourceAccessConfigurations": configurations}
    with mapped(stack, NAMED_BROKER, function, **given):
        until(lambda: len(ran(stack, function, marks)) == 4)
        found = ran(stack, function, marks)
        until(lambda: channel.queue_declare(queue, passive=True).method.message_count == 0)
    assert [text for run in found for text in run["ran"]] == [f"{number} {marks}" for number in range(8)]
    event = found[0]["event"]
    assert (event["eventSource"], event["eventSourceArn"]) == ("aws:rmq", NAMED_BROKER)
    first = event["rmqMessagesByQueue"][f"{queue}::/"][0]
    assert first["redelivered"] is False
    assert first["basicProperties"]["headers"] == {"h": {"bytes": [118, 97]}, "n": 10}
    assert first["basicProperties"]["contentType"] == "text/plain"
    assert first["basicProperties"]["priority"] == 3
    assert first["basicProperties"]["replyTo"] is None


def test_rabbitmq_batch_that_fails_comes_again_until_its_messages_expire_and_filtered_ones_are_gone(
    stack: PlatformStack, function: str, rabbit: Any
) -> None:
    (channel, queue), marks = rabbit, mark()
    expires = pika.BasicProperties(expiration="500")
    channel.basic_publish("", queue, json.dumps({"no": marks}).encode())
    filters = {"Filters": [{"Pattern": json.dumps({"data": {"yes": [{"exists": True}]}})}]}
    given = {"Queues": [queue], "BatchSize": 1, "FilterCriteria": filters}
    with mapped(
        stack, OWN_BROKER, function, SourceAccessConfigurations=[{"Type": "VIRTUAL_HOST", "URI": "/"}], **given
    ):
        until(lambda: channel.queue_declare(queue, passive=True).method.message_count == 0)
        # no JSON: judged by the rest of the pattern alone
        channel.basic_publish("", queue, f"bad {marks}".encode(), expires)
        channel.basic_publish("", queue, f"good {marks}".encode())
        until(lambda: any(f"good {marks}" in run["ran"] for run in ran(stack, function, marks)))
    seen = texts(stack, function, marks)
    assert seen[0] == f"bad {marks}"
    assert seen[-1] == f"good {marks}"
    assert set(seen) == {f"bad {marks}", f"good {marks}"}
