"""What mappings of each kind of source take, and what is refused, beside what the platform's tests ask."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.lambda_api.mapping_options import applied, check_destinations, shown, with_defaults
from hearth.errors import InvalidParameterValue
from hearth.model.mapping import EventSourceMapping, SourceKind, source_kind

PLACE = "us-east-1:000000000000"
QUEUE = f"arn:aws:sqs:{PLACE}:q"
STREAM = f"arn:aws:kinesis:{PLACE}:stream/s"
BROKER = f"arn:aws:mq:{PLACE}:broker:b:b-1"


def a_mapping(arn: str) -> EventSourceMapping:
    kind = source_kind(arn)
    assert kind is not None
    return with_defaults(EventSourceMapping("u", "000000000000", "us-east-1", kind, arn, "f", "", 1, 1))


def test_mapping_of_a_rabbitmq_queue_shows_its_window_once_it_is_set() -> None:
    access = [{"Type": "BASIC_AUTH", "URI": "arn:secret"}, {"Type": "VIRTUAL_HOST", "URI": "v"}]
    made = applied(a_mapping(BROKER), {"Queues": ["orders"], "SourceAccessConfigurations": access})
    assert (made.batch_size, made.batch_window_s, made.virtual_host) == (100, 0.5, "v")
    answer = shown(made, "OK")
    assert set(answer) == {
        "UUID",
        "BatchSize",
        "EventSourceArn",
        "EventSourceMappingArn",
        "FunctionArn",
        "LastModified",
        "LastProcessingResult",
        "Queues",
        "SourceAccessConfigurations",
        "State",
        "StateTransitionReason",
    }
    assert answer["SourceAccessConfigurations"] == access
    changed = applied(made, {"MaximumBatchingWindowInSeconds": 2})
    assert shown(changed, "OK")["MaximumBatchingWindowInSeconds"] == 2


def test_mapping_of_an_sqs_queue_shows_how_it_scales() -> None:
    made = applied(a_mapping(QUEUE), {"ScalingConfig": {"MaximumConcurrency": 5}, "BatchSize": 3})
    assert shown(made, "")["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert "ScalingConfig" not in shown(applied(made, {"ScalingConfig": {}}), "")


@pytest.mark.parametrize(
    ("arn", "given"),
    [
        (QUEUE, {"StartingPosition": "LATEST"}),
        (QUEUE, {"MaximumRetryAttempts": 3}),
        (QUEUE, {"ScalingConfig": {"MaximumConcurrency": 5}, "ProvisionedPollerConfig": {"MinimumPollers": 2}}),
        (f"{QUEUE}.fifo", {"BatchSize": 11}),
        (f"{QUEUE}.fifo", {"MaximumBatchingWindowInSeconds": 1}),
        (BROKER, {}),
        (BROKER, {"Queues": ["q"], "FunctionResponseTypes": ["ReportBatchItemFailures"]}),
        (STREAM, {"StartingPosition": "AT_TIMESTAMP"}),
        (STREAM, {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 4e9}),
        (STREAM, {"StartingPosition": "LATEST", "StartingPositionTimestamp": 1.0}),
        (STREAM, {"StartingPosition": "LATEST", "MaximumRecordAgeInSeconds": 59}),
        (STREAM, {"StartingPosition": "LATEST", "Queues": ["q"]}),
        (STREAM, {"StartingPosition": "LATEST", "FilterCriteria": {"Filters": [{"Pattern": "{}"}] * 6}}),
    ],
)
def test_what_a_kind_does_not_take_is_refused(arn: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterValue):
        applied(a_mapping(arn), given)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (SourceKind.SQS, {"OnFailure": {"Destination": QUEUE}}),
        (SourceKind.KINESIS, {"OnSuccess": {"Destination": QUEUE}}),
        (SourceKind.KINESIS, {"OnFailure": {"Destination": f"arn:aws:lambda:{PLACE}:function:f"}}),
        (SourceKind.KINESIS, {"OnFailure": {"Destination": f"{QUEUE}.fifo"}}),
        (None, {"OnSuccess": {"Destination": QUEUE}}),
    ],
)
def test_destinations_are_for_failures_of_streams_alone(kind: SourceKind | None, config: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterValue):
        check_destinations(kind, {"DestinationConfig": config})


def test_empty_destinations_are_none() -> None:
    check_destinations(SourceKind.SQS, {"DestinationConfig": {"OnFailure": {}, "OnSuccess": {}}})
    check_destinations(SourceKind.KINESIS, {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}})
