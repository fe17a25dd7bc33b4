"""Events, windows and reports, in the form that functions and destinations know from AWS."""

from __future__ import annotations

import base64
import json

import orjson
import pytest

from hearth.model.invocation import InvocationResult, Outcome
from pollers.streams.event import event_of, failure_record, kinesis_head, kinesis_tail, table_head
from pollers.streams.outcome import Work
from pollers.streams.source import SourceRecord
from pollers.streams.windows import MAX_STATE_BYTES, NoState, OpenWindow, start_of, window_members

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
ROLE = "arn:aws:iam::000000000000:role/test"
SHARD = "shardId-000000000000"


def a_head(number: int = 7) -> bytes:
    key = 'k"ö'
    return kinesis_head(key, str(number), b"\x00data", 1_545_084_650_987, SHARD, b'"us-east-1"', orjson.dumps(ARN))


def test_kinesis_events_have_the_form_of_aws() -> None:
    event = json.loads(event_of([a_head(7), a_head(8)], kinesis_tail(ROLE)))
    assert [record["kinesis"]["sequenceNumber"] for record in event["Records"]] == ["7", "8"]
    assert event["Records"][0] == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": 'k"ö',
            "sequenceNumber": "7",
            "data": base64.b64encode(b"\x00data").decode(),
            "approximateArrivalTimestamp": 1545084650.987,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{SHARD}:7",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": ROLE,
        "awsRegion": "us-east-1",
        "eventSourceARN": ARN,
    }


def test_table_records_name_their_source() -> None:
    record = {"eventID": "1", "dynamodb": {"Keys": {"id": {"S": "a"}}}}
    assert json.loads(event_of([table_head(record, "arn")], b"}")) == {"Records": [{**record, "eventSourceARN": "arn"}]}


def test_windows_stand_beside_the_records() -> None:
    window = OpenWindow(start_of(1_607_497_449_999, 30), b'{"sum":3}')
    event = json.loads(event_of([], kinesis_tail(ROLE), window_members(window, 30, SHARD, ARN, final=True)))
    assert event == {
        "Records": [],
        "window": {"start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:04:30Z"},
        "state": {"sum": 3},
        "shardId": SHARD,
        "eventSourceARN": ARN,
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }


def test_a_windows_state_is_what_the_function_answers() -> None:
    window = OpenWindow(0).after(b'{"state":{"a":1},"batchItemFailures":[]}')
    assert (window.state, window.too_large) == (b'{"a":1}', False)
    assert OpenWindow.from_json(orjson.loads(orjson.dumps(window.to_json()))) == window
    assert OpenWindow(0, b"x" * (MAX_STATE_BYTES + 1)).too_large


@pytest.mark.parametrize("answer", [b"null", b"", b"{}", b'{"state":3}', b'{"state":null}', b"[1]"])
def test_an_answer_without_state_has_failed(answer: bytes) -> None:
    with pytest.raises(NoState):
        OpenWindow(0).after(answer)


def a_report(condition: str, *, table: bool = False, **given: object) -> dict[str, object]:
    records = (SourceRecord(7, "7", b"k", 1_573_691_884_835, b"{"), SourceRecord(9, "9", b"k", 1_573_691_885_001, b"{"))
    record = failure_record(
        Work(records, failures=2, runs=2),
        condition,
        function_arn="arn:f",
        stream_arn=ARN,
        shard_id=SHARD,
        batch_member="DDBStreamBatchInfo" if table else "KinesisBatchInfo",
        whole_seconds=table,
        now_ms=1_573_691_886_021,
        request_id="r",
        **given,  # type: ignore[arg-type]
    )
    return json.loads(record)


FAILED = InvocationResult(Outcome.FUNCTION_ERROR, executed_version="$LATEST")


def test_reports_of_failed_batches_have_the_form_of_aws() -> None:
    assert a_report("RetryAttemptsExhausted", result=FAILED) == {
        "requestContext": {
            "requestId": "r",
            "functionArn": "arn:f",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2019-11-14T00:38:06.021Z",
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": "7",
            "endSequenceNumber": "9",
            "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.001Z",
            "batchSize": 2,
            "streamArn": ARN,
        },
    }


def test_reports_differ_by_what_ended_the_batch() -> None:
    assert "responseContext" not in a_report("RecordAgeExceeded", result=FAILED)
    reported = a_report("RetryAttemptsExhausted", result=FAILED, reported=True, payload=b'{"Records":[]}')
    assert reported["responseContext"]["functionError"] is None  # type: ignore[index]
    assert reported["payload"] == {"Records": []}
    of_table = a_report("RecordAgeExceeded", table=True)["DDBStreamBatchInfo"]
    assert of_table["approximateArrivalOfFirstRecord"] == "2019-11-14T00:38:04Z"  # type: ignore[index]
