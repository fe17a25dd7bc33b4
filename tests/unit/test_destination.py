"""Destinations by their ARNs."""

from __future__ import annotations

import pytest

from hearth.model.destination import Destination, DestinationKind, parse_destination

PLACE = ("us-east-1", "000000000000")


@pytest.mark.parametrize(
    ("arn", "kind", "resource"),
    [
        ("arn:aws:sqs:us-east-1:000000000000:q", DestinationKind.QUEUE, "q"),
        ("arn:aws-cn:sns:us-east-1:000000000000:t", DestinationKind.TOPIC, "t"),
        ("arn:aws:events:us-east-1:000000000000:event-bus/default", DestinationKind.BUS, "event-bus/default"),
        ("arn:aws:lambda:us-east-1:000000000000:function:f", DestinationKind.FUNCTION, "f"),
        ("arn:aws:rabbitmq:us-east-1:000000000000:exchange/ex/a.b/c", DestinationKind.EXCHANGE, "exchange/ex/a.b/c"),
    ],
)
def test_arn_of_a_destination_is_taken_apart(arn: str, kind: DestinationKind, resource: str) -> None:
    assert parse_destination(arn) == Destination(kind, arn, *PLACE, resource)


def test_bucket_has_neither_region_nor_account() -> None:
    assert parse_destination("arn:aws:s3:::bucket-1") == Destination(
        DestinationKind.BUCKET, "arn:aws:s3:::bucket-1", "", "", "bucket-1"
    )


def test_function_may_have_a_qualifier() -> None:
    found = parse_destination("arn:aws:lambda:us-east-1:000000000000:function:f:live")
    assert found is not None
    assert (found.resource, found.qualifier) == ("f", "live")


@pytest.mark.parametrize(
    ("arn", "exchange"),
    [
        ("arn:aws:rabbitmq:us-east-1:000000000000:exchange/ex", ("ex", "")),
        ("arn:aws:rabbitmq:us-east-1:000000000000:exchange/ex/a/b", ("ex", "a/b")),
    ],
)
def test_exchange_may_have_a_routing_key(arn: str, exchange: tuple[str, str]) -> None:
    found = parse_destination(arn)
    assert found is not None
    assert found.exchange == exchange


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "q",
        "arn:aws:iam:us-east-1:000000000000:function:f",
        "arn:aws:sqs:us-east-1::q",
        "arn:aws:sqs:us-east-1:000000000000:q/r",
        "arn:aws:events:us-east-1:000000000000:rule/x",
        "arn:aws:lambda:us-east-1:000000000000:layer:l",
        # the platform's own, the broker's own, and the nameless one that reaches every queue
        "arn:aws:rabbitmq:us-east-1:000000000000:exchange/hearth.invoke/key",
        "arn:aws:rabbitmq:us-east-1:000000000000:exchange/amq.direct/key",
        "arn:aws:rabbitmq:us-east-1:000000000000:exchange//events.0",
    ],
)
def test_what_records_can_not_be_sent_to_is_no_destination(arn: str) -> None:
    assert parse_destination(arn) is None


def test_fifo_queue_is_known_as_one() -> None:
    found = parse_destination("arn:aws:sqs:us-east-1:000000000000:q.fifo")
    assert found is not None
    assert found.fifo
