"""What goes out of a shard: events, records in each stream's form, and reports of batches that failed. Pure.

Source: Lambda Developer Guide, using Lambda with Kinesis and with DynamoDB; members as recorded from AWS.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from hearth.clock import iso_time
from hearth.model.invocation import InvocationResult
from pollers.streams.outcome import AGE_EXCEEDED, Work

#: of an event beside its records, without a window's state
FRAME_BYTES = 1024


def event_of(heads: Sequence[bytes], tail: bytes, members: bytes = b"}") -> bytes:
    """heads: the records, each closed by tail. members: what stands beside Records, without the first brace."""
    records = (tail + b",").join(heads) + tail if heads else b""
    return b'{"Records":[' + records + (b"]" if members == b"}" else b"],") + members


def kinesis_head(
    partition_key: str, sequence_number: str, data: bytes, arrival_ms: int, shard_id: str, region: bytes, arn: bytes
) -> bytes:
    """region, arn: of the stream, as JSON."""
    return (
        b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":%b,"sequenceNumber":"%b","data":"%b",'
        b'"approximateArrivalTimestamp":%d.%03d},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"%b:%b",'
        b'"eventName":"aws:kinesis:record","awsRegion":%b,"eventSourceARN":%b'
        % (
            orjson.dumps(partition_key),
            number := sequence_number.encode(),
            base64.b64encode(data),
            arrival_ms // 1000,
            arrival_ms % 1000,
            shard_id.encode(),
            number,
            region,
            arn,
        )
    )


def kinesis_tail(role: str) -> bytes:
    return b',"invokeIdentityArn":' + orjson.dumps(role) + b"}"


def table_head(record: dict[str, Any], arn: str) -> bytes:
    """record: as GetRecords of DynamoDB Streams shows it, with times as epoch seconds and bytes as base64."""
    return orjson.dumps({**record, "eventSourceARN": arn})[:-1]


def failure_record(
    work: Work,
    condition: str,
    *,
    function_arn: str,
    stream_arn: str,
    shard_id: str,
    batch_member: str,
    whole_seconds: bool,
    now_ms: int,
    request_id: str = "",
    result: InvocationResult | None = None,
    reported: bool = False,
    payload: bytes | None = None,
) -> bytes:
    """work: the records that are given up. result: of the last run, None if there was none or if age ended it.

    function_arn: unqualified. reported: the function itself named what failed. payload: the event, for a bucket.
    """
    records = work.records
    document: dict[str, Any] = {
        "requestContext": {
            "requestId": request_id or str(uuid.uuid4()),
            "functionArn": function_arn,
            "condition": condition,
            "approximateInvokeCount": max(1, work.runs),
        }
    }
    if result is not None and condition != AGE_EXCEEDED:
        document["responseContext"] = {
            "statusCode": 200,
            "executedVersion": result.executed_version,
            "functionError": None if reported else "Unhandled",
        }
    document |= {
        "version": "1.0",
        "timestamp": iso_time(now_ms),
        batch_member: {
            "shardId": shard_id,
            "startSequenceNumber": records[0].sequence_number,
            "endSequenceNumber": records[-1].sequence_number,
            "approximateArrivalOfFirstRecord": _arrival(records[0].arrival_ms, whole_seconds),
            "approximateArrivalOfLastRecord": _arrival(records[-1].arrival_ms, whole_seconds),
            "batchSize": len(records),
            "streamArn": stream_arn,
        },
    }
    if payload is not None:
        document["payload"] = orjson.Fragment(payload)
    return orjson.dumps(document)


def bucket_folder(mapping_id: str, shard_id: str) -> str:
    """Where in a bucket the reports of a shard lie, before the date."""
    return f"aws/lambda/{mapping_id}/{shard_id}"


def _arrival(at_ms: int, whole_seconds: bool) -> str:
    if whole_seconds:
        return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return iso_time(at_ms)
