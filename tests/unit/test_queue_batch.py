"""Batches of queues: how much goes into one event, and how many of them run at once."""

from __future__ import annotations

import orjson
import pytest
from pika import BasicProperties

from pollers.queues.mq_endpoints import virtual_host_of, with_access
from pollers.queues.queue_batch import Concurrency, QueueBatch, chunks
from pollers.queues.rmq_event import encoded, envelope, rmq_record
from pollers.queues.sqs_event import sqs_record, trace_of

QUEUE_ARN = "arn:aws:sqs:eu-west-1:000000000000:orders"
BROKER_ARN = "arn:aws:mq:us-east-1:000000000000:broker:mine:b-1"


def test_batch_takes_its_number_of_messages() -> None:
    batch = QueueBatch[int](b"[", b"]", 2, 1000)
    for number in (1, 2):
        assert batch.takes(b"x")
        batch.add(number, b"%d" % number)
    assert batch.room == 0
    assert not batch.takes(b"x")
    assert orjson.loads(batch.payload()) == [1, 2]


@pytest.mark.parametrize(("second", "taken"), [(b"7" * 6, True), (b"7" * 7, False)])
def test_batch_is_no_larger_than_an_event_may_be(second: bytes, taken: bool) -> None:
    batch = QueueBatch[int](b"[", b"]", 10, 12)
    batch.add(1, b"123")
    assert batch.takes(second) is taken
    batch.add(2, second)
    assert (len(batch.payload()) <= 12) is taken


def test_record_larger_than_an_event_goes_alone() -> None:
    batch = QueueBatch[int](b"[", b"]", 10, 4)
    assert batch.takes(b"123456")
    batch.add(1, b"123456")
    assert not batch.takes(b"1")


def test_concurrency_grows_while_all_of_it_is_used() -> None:
    concurrency = Concurrency(most=100)
    assert concurrency.limit == 5
    concurrency.in_use(5, 10.0)
    concurrency.in_use(5, 12.0)
    assert concurrency.limit == 15
    concurrency.in_use(3, 13.0)
    concurrency.in_use(15, 60.0)
    assert concurrency.limit == 15  # the time between did not count
    concurrency.in_use(15, 600.0)
    assert concurrency.limit == 100
    concurrency.idle()
    assert concurrency.limit == 5


def test_concurrency_is_never_above_the_mappings_own() -> None:
    concurrency = Concurrency(most=2)
    concurrency.in_use(2, 0.0)
    concurrency.in_use(2, 60.0)
    assert concurrency.limit == 2


def test_throttled_function_gets_fewer_batches_and_always_one() -> None:
    concurrency = Concurrency(most=100)
    concurrency.throttled(4)
    assert concurrency.limit == 3
    concurrency.throttled(1)
    assert concurrency.limit == 1


def test_chunks_are_all_of_it_in_order() -> None:
    assert list(chunks([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]


MESSAGE = {
    "MessageId": "id",
    "ReceiptHandle": "handle",
    "MD5OfBody": "md5",
    "Body": "text",
    "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
}


@pytest.mark.parametrize("windowed", [True, False])
def test_sqs_message_without_attributes(windowed: bool) -> None:
    record = sqs_record(MESSAGE, QUEUE_ARN, windowed=windowed)
    assert record.pop("md5OfMessageAttributes", "absent") == (None if windowed else "absent")
    assert record == {
        "messageId": "id",
        "receiptHandle": "handle",
        "body": "text",
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
        "messageAttributes": {},
        "md5OfBody": "md5",
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "eu-west-1",
    }


def test_sqs_message_with_attributes() -> None:
    attributes = {
        "Title": {"DataType": "String", "StringValue": "a"},
        "Bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    message = MESSAGE | {"MessageAttributes": attributes, "MD5OfMessageAttributes": "digest"}
    record = sqs_record(message, QUEUE_ARN, windowed=False)
    assert record["md5OfMessageAttributes"] == "digest"
    lists = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "Title": {"stringValue": "a", "dataType": "String"} | lists,
        "Bytes": {"binaryValue": "AP8=", "dataType": "Binary"} | lists,
    }


def test_batch_carries_on_the_first_trace() -> None:
    traced = [MESSAGE, MESSAGE | {"Attributes": {"AWSTraceHeader": "Root=1-a"}}]
    assert trace_of(traced) == "Root=1-a"
    assert trace_of([MESSAGE]) == ""


def test_rabbitmq_message_has_amazon_mqs_form() -> None:
    properties = BasicProperties(
        content_type="text/plain",
        headers={"text": "va", "number": 10, "nested": {"list": ["a", True, None]}},
        delivery_mode=1,
        priority=34,
        expiration="60000",
        timestamp=2021,
        user_id="me",
    )
    head, tail = envelope(BROKER_ARN, "pizzas", "/")
    batch = QueueBatch[int](head, tail, 10, 10_000)
    batch.add(1, encoded(rmq_record(properties, b"body", redelivered=False)))
    assert orjson.loads(batch.payload()) == {
        "eventSource": "aws:rmq",
        "eventSourceArn": BROKER_ARN,
        "rmqMessagesByQueue": {
            "pizzas::/": [
                {
                    "basicProperties": {
                        "contentType": "text/plain",
                        "contentEncoding": None,
                        "headers": {
                            "text": {"bytes": [118, 97]},
                            "number": 10,
                            "nested": {"list": [{"bytes": [97]}, True, None]},
                        },
                        "deliveryMode": 1,
                        "priority": 34,
                        "correlationId": None,
                        "replyTo": None,
                        "expiration": "60000",
                        "messageId": None,
                        "timestamp": "Jan 1, 1970, 12:33:41 AM",
                        "type": None,
                        "userId": "me",
                        "appId": None,
                        "clusterId": None,
                        "bodySize": 4,
                    },
                    "redelivered": False,
                    "data": "Ym9keQ==",
                }
            ]
        },
    }


@pytest.mark.parametrize(
    ("url", "user", "vhost", "expected"),
    [
        ("amqp://host:5672", None, "/", "amqp://host:5672/%2F"),
        ("amqps://a:b@host:5671/x", None, "shop", "amqps://a:b@host:5671/shop"),
        ("amqp://a:b@host", ("me", "p@ss/"), "shop", "amqp://me:p%40ss%2F@host/shop"),
        ("amqp://host/?heartbeat=5", ("me", "x"), "/", "amqp://me:x@host/%2F?heartbeat=5"),
    ],
)
def test_url_of_a_broker(url: str, user: tuple[str, str] | None, vhost: str, expected: str) -> None:
    assert with_access(url, user, vhost) == expected
    assert virtual_host_of(expected) == vhost
