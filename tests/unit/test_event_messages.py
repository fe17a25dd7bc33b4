"""An event as a message and as a record."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pika import BasicProperties

from hearth.broker.event_messages import event_properties, read_event
from hearth.model.event import (
    MAX_CARRIED_BYTES,
    Delivery,
    DeliveryKind,
    DropReason,
    Event,
    Failure,
    failure_of,
)
from hearth.model.invocation import InvocationResult, Outcome
from hearth.model.invocation_record import MAX_KEPT_BYTES, invocation_record, kept_record, undelivered_record

EVENT = Event(
    "8c6e", "000000000000", "us-east-1", "f", b'{"a": 1}', accepted_at_ms=1_700_000_000_000, trace_id="Root=1-0-0"
)


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        replace(EVENT, qualifier="$LATEST", runs=2, setbacks=3, attempts=5, content_type="text/plain"),
        replace(EVENT, runs=1, failure=Failure("$LATEST", b'{"errorMessage": "\xc3\xa4"}')),
        replace(EVENT, delivery=Delivery(DeliveryKind.DEAD_LETTER, "arn:aws:sqs:r:1:q", "RetriesExhausted", 429, "ä")),
    ],
)
def test_event_comes_back_from_its_message(event: Event) -> None:
    assert read_event(event_properties(event), event.payload) == event


def test_message_is_persistent() -> None:
    assert event_properties(EVENT).delivery_mode == 2


@pytest.mark.parametrize("properties", [BasicProperties(), BasicProperties(message_id="x", headers={"name": "f"})])
def test_message_that_is_no_event_is_refused(properties: BasicProperties) -> None:
    with pytest.raises((KeyError, ValueError)):
        read_event(properties, b"{}")


def test_record_of_a_failed_event_has_the_fields_of_aws() -> None:
    failed = replace(EVENT, runs=3, failure=Failure("$LATEST", b'{"errorMessage": "no"}'))
    assert json.loads(kept_record(failed, DropReason.RETRIES_EXHAUSTED, 1_700_000_001_234)) == {
        "version": "1.0",
        "timestamp": "2023-11-14T22:13:21.234Z",
        "requestContext": {
            "requestId": "8c6e",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "no"},
    }


def test_record_of_an_event_that_never_ran_has_no_response() -> None:
    record = json.loads(kept_record(EVENT, DropReason.EVENT_AGE_EXCEEDED, 0))
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert not {"responseContext", "responsePayload"} & set(record)


def test_payload_too_large_for_a_record_is_told_by_its_size() -> None:
    size = MAX_KEPT_BYTES + 1
    record = json.loads(kept_record(replace(EVENT, payload=b"1" * size), DropReason.FUNCTION_DELETED, 0))
    assert record["requestPayload"] == f"({size} bytes)"


def test_record_of_a_success_counts_the_run_and_shows_the_answer() -> None:
    record = invocation_record(
        replace(EVENT, runs=1, qualifier="live"),
        "Success",
        0,
        executed_version="3",
        response=b"[1.10, 99999999999999999999]",
    )
    assert b'"responsePayload":[1.10, 99999999999999999999]' in record, "payloads stay as they are, byte for byte"
    shown = json.loads(record)
    assert shown["requestContext"]["functionArn"].endswith(":function:f:live")
    assert shown["requestContext"]["approximateInvokeCount"] == 2
    assert shown["responseContext"] == {"statusCode": 200, "executedVersion": "3"}


def test_record_that_could_not_be_delivered_says_where_it_was_to_go_and_why() -> None:
    parcel = replace(EVENT, delivery=Delivery(DeliveryKind.SUCCESS, "arn:aws:sqs:r:1:q", "Success"))
    record = json.loads(undelivered_record(parcel, DropReason.DESTINATION_FAILED, 0, "no such queue"))
    assert record["destination"] == {"arn": "arn:aws:sqs:r:1:q", "condition": "Success", "error": "no such queue"}
    assert record["requestContext"]["condition"] == "DestinationDeliveryFailed"


def test_error_document_travels_unless_it_would_not_fit_into_a_frame() -> None:
    small = InvocationResult(Outcome.FUNCTION_ERROR, b"{}", executed_version="$LATEST")
    assert failure_of(small) == Failure("$LATEST", b"{}")
    assert failure_of(replace(small, payload=b"x" * (MAX_CARRIED_BYTES + 1))) == Failure("$LATEST", b"")
    assert failure_of(replace(small, outcome=Outcome.OK)) is None
